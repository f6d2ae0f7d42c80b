// What a gateway that only reports has logged, read by the command that says what would break.
import t from 'tap'
import { ask, ids, link, startGateway, startUpstream } from '../stage.ts'
import { report } from './log.ts'

t.test('each integration that enforcement would refuse, and why', async (t) => {
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin, { ENFORCEMENT: 'report' })
  const rows = [
    ['https://desk.example/crm', link({ auth: null })],
    ['https://desk.example/crm', link({ auth: null })],
    ['https://chat.example/', link({ userId: 'somebody-else' })],
    ['https://good.example/', link()],
  ] as const
  for (const [Referer, target] of rows) {
    const headers = { Referer, 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Site': 'cross-site' }
    t.equal((await ask(gateway.origin, target, { headers })).status, 200)
  }
  await gateway.audited(rows.length)
  const folder = t.testdir({
    'gateway.log': gateway.lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
  })
  const { code, stdout } = await report(['--json', 'gateway.log'], folder)
  t.equal(code, 0)
  const said = JSON.parse(stdout)
  t.match(said, { reported: { requests: 3 } })
  t.match(stdout, 'https://desk.example')
  t.match(stdout, 'token-missing')
  t.match(stdout, 'https://chat.example')
  t.match(stdout, 'claim-mismatch')
  t.notMatch(stdout, 'https://good.example')
  t.notMatch(stdout, ids.URLToken)
})

import t from 'tap'
import { type Heard, startWorkspace } from '../../demo/workspace.ts'
import { denials } from '../../src/access/decision.ts'
import { attacks } from '../../src/load/attacks.ts'
import { know } from '../sinks.ts'
import { secret, startGateway, startUpstream } from '../stage.ts'
import { attacksOf } from './results.ts'
import { play, playAt } from './run.ts'

const heard: Heard[] = []
const workspace = await startWorkspace({
  pagePort: 0,
  apiPort: 0,
  secret: Buffer.from(secret),
  pace: 50,
  onEvent: (one) => heard.push(one),
})
t.teardown(() => workspace.close())
know('secret', workspace.apiToken)
const behind = {
  COPILOT_API_URL: workspace.api.origin,
  COPILOT_API_TOKEN: workspace.apiToken,
  REQUIRE_EXP: 'true',
}

t.test('agents open their chats, join them and talk', async (t) => {
  const plan = { agents: 3, rate: 2, duration: 1500 }
  const { found } = await playAt(() => {
    heard.length = 0
    return startGateway(t, workspace.page.origin, behind)
  }, plan)

  t.strictSame(found.failures, {})
  t.equal(found.total.failed, 0)
  const { document, asset, socket, join, message } = found.kinds
  t.equal(document.count, 10, 'three agents and two that replace them, two chats each')
  t.equal(asset.count, 4 * 10, 'two scripts, config.js and a style sheet')
  t.equal(socket.count, 10)
  t.equal(join.count, 10)
  t.strictSame(found.statuses.agents, { 200: 50, 101: 10 })
  t.strictSame(found.sockets, { opened: 10, peak: found.sockets.peak, lost: {} })
  t.equal(found.interrupted, false)
  t.equal(
    found.seconds.reduce((sum, { steps }) => sum + steps.count, 0),
    found.total.count,
  )
  t.equal(found.seconds.at(-1)?.sockets, 0)

  const joined = heard.filter(({ event }) => event === 'join').map(({ said }) => Object(said[0]))
  t.equal(new Set(joined.map(({ sessionId }) => sessionId)).size, 10, 'each session is its own')
  t.equal(new Set(joined.map(({ userId }) => userId)).size, 5, 'two of each agent')
  t.equal(heard.filter(({ event }) => event === 'sendMessage').length, message.count)
  t.ok(message.count > 10)
})

t.test('every attack is refused as it deserves', async (t) => {
  const start = () => startGateway(t, workspace.page.origin, behind)
  const { gateway, found } = await playAt(start, { attackers: 0.9 })
  // All is logged by then.
  await gateway.close()
  t.strictSame(found.failures, {})
  t.equal(found.kinds.attack.count, 18, 'nine to each of the two links')
  t.strictSame(
    found.attacks,
    attacks.map(({ name, reason }, i) => ({
      name,
      reason,
      ...attacksOf(i < 3 ? 2 : 1, i < 3 ? 2 : 1),
    })),
  )
  const refused = gateway.lines.filter(({ decision }) => decision === 'deny')
  t.strictSame(
    refused.map(({ reason }) => reason).sort(),
    found.attacks
      .filter(({ reason }) => reason !== 'session-mismatch')
      .flatMap(({ reason, sent }) => Array(sent).fill(reason))
      .sort(),
  )
  const closed = gateway.lines.filter(({ ended }) => ended === 'session-mismatch')
  t.equal(closed.length, 1, 'who joins another session loses the socket')
  t.strictSame(
    found.statuses.attackers,
    Object.fromEntries(
      [400, 401, 403].map((status) => [
        status,
        refused.filter((line) => line['status'] === status).length,
      ]),
    ),
  )
})

t.test('an attack that gets in is told', async (t) => {
  const rows: readonly (readonly [
    string,
    () => Promise<{ readonly origin: string }>,
    (reason: string) => boolean,
    ...prevented: string[],
  ])[] = [
    [
      'a gateway that only reports',
      async () => {
        const reporting = { ...behind, ENFORCEMENT: 'report' }
        return startGateway(t, workspace.page.origin, reporting)
      },
      (reason) => /^(?:token-|claim-|session-mismatch)/.test(reason),
    ],
    [
      'no gateway at all',
      async () => workspace.page,
      (reason) => !reason.startsWith('session-'),
      '200 without a cookie',
      '404',
    ],
    [
      'a gateway whose workspace is down',
      async () => {
        const down = 'http://127.0.0.1:9'
        const env = { ...behind, COPILOT_API_URL: down, ENFORCEMENT: 'report' }
        return startGateway(t, down, env)
      },
      (reason) => /^(?:token|claim)-/.test(reason),
      '502 without a cookie',
      '502',
    ],
  ]
  const runs = rows.map(async ([name, start, getsIn, ...prevented]) => {
    const { found } = await playAt(start, { attackers: 0.1 })
    t.strictSame(
      found.attacks.map(({ name, letIn }) => [name, letIn]),
      attacks.map((attack) => [attack.name, Number(getsIn(attack.reason))]),
      name,
    )
    const letIn = found.attacks.reduce((sum, one) => sum + one.letIn, 0)
    const undecided = found.attacks.reduce((sum, one) => sum + one.undecided, 0)
    t.equal(undecided, prevented.length)
    t.equal(found.kinds.attack.failed, letIn + undecided)
    t.equal(found.failures['attack let in'], letIn)
    for (const why of prevented) t.ok(found.failures[why], why)
  })
  await Promise.all(runs)
})

t.test('an attack that nobody answers is told', async (t) => {
  const found = await play('http://127.0.0.1:9', { attackers: 0.1 })
  t.equal(found.attacks.length, attacks.length)
  for (const one of found.attacks) t.match(one, attacksOf(1, 0), one.name)
})

t.test('who has the page of a workspace tries another session with its token', async (t) => {
  const { COPILOT_API_TOKEN, ...shown } = behind
  const outdated = 'afd4c1f8e3b1'
  know('secret', outdated)
  const rows = [
    ['that of config.js', shown, attacksOf(1, 1)],
    ['one that the backend refuses', { ...shown, COPILOT_API_TOKEN: outdated }, attacksOf(1, 0)],
  ] as const
  for (const [name, env, expected] of rows) {
    const start = () => startGateway(t, workspace.page.origin, env)
    const { found } = await playAt(start, { attackers: 0.1 })
    t.match(found.attacks.at(-1), expected, name)
  }
})

t.test('who is refused too often is still refused', async (t) => {
  const start = () => startGateway(t, workspace.page.origin, { ...behind, RATE_LIMIT: '2/1m' })
  const { found } = await playAt(start, { attackers: 0.1 })
  t.strictSame(found.failures, {})
  t.equal(
    found.statuses.attackers[denials['rate-limited']],
    attacks.length - 3,
    'all but two and who joined',
  )
  const sum = (key: 'refused' | 'rateLimited'): number =>
    found.attacks.reduce((sum, attack) => sum + attack[key], 0)
  t.equal(sum('rateLimited'), attacks.length - 3)
  t.equal(sum('refused'), 3)
  t.strictSame(found.total.failed, 0, 'agents at the same address are let in')
})

t.test('the chats of one agent share a cookie jar, and nobody else has it', async (t) => {
  const jars: string[] = []
  const held = new Map<string, () => void>()
  const upstream = await startUpstream(t, ({ url = '', headers }, response) => {
    const [, agent = '', chat] = /sessionId=load-\w+-(\d)-(\d)&/.exec(url) ?? []
    const [, owner] = /^\/app-(\d)\.js$/.exec(url) ?? []
    if (owner !== undefined) {
      jars.push(`${owner}: ${headers.cookie}`)
      response.end()
      held.get(owner)?.()
      held.set(owner, () => {})
    } else if (chat === undefined) {
      response.end()
    } else {
      const own = `__Host-of-${agent}-${chat}=x; Path=/; Secure`
      response.setHeader('set-cookie', [own, 'gone=x; Path=/; Max-Age=0'])
      const answer = () => response.end(`<script src="./app-${agent}.js"></script>`)
      // The second chat's waits until the first has shown its cookies.
      if (chat === '0' || held.has(agent)) answer()
      else held.set(agent, answer)
    }
  })
  await play(upstream.origin, { agents: 2 })
  t.strictSame(jars.sort(), [
    '1: __Host-of-1-0=x',
    '1: __Host-of-1-0=x; __Host-of-1-1=x',
    '2: __Host-of-2-0=x',
    '2: __Host-of-2-0=x; __Host-of-2-1=x',
  ])
})

t.test('nothing leads away from the target', async (t) => {
  const elsewhere = await startUpstream(t)
  const rows: readonly (readonly [string, string | null, Readonly<Record<string, number>>])[] = [
    ['a redirect', null, { 302: 1 }],
    [
      'a page with the files of others',
      `<script src="${elsewhere.origin}/a.js"></script><link rel=stylesheet href="//127.0.0.1:${elsewhere.port}/b.css">
       <link rel="icon" href="/icon"><script>0</script><script src="/own.js?a=1&amp;b=2"></script>`,
      { 404: 1 },
    ],
  ]
  for (const [name, page, failures] of rows) {
    const upstream = await startUpstream(t, (request, response) => {
      if (page === null) response.writeHead(302, { location: elsewhere.origin })
      response.end(request.url?.startsWith('/?') ? page : '')
    })
    const found = await play(upstream.origin, { chats: 1 })
    t.strictSame(found.failures, failures, name)
    t.strictSame(elsewhere.seen, [])
    t.strictSame(
      upstream.seen.slice(1).map(({ url }) => url),
      page === null ? [] : ['/own.js?a=1&b=2', '/socket.io/?EIO=4&transport=websocket'],
    )
  }
})

t.test('a run that is ended before it begins asks for nothing', async (t) => {
  const upstream = await startUpstream(t)
  const found = await play(upstream.origin, {}, { signal: AbortSignal.abort() })
  t.equal(found.interrupted, true)
  t.match(found.total, { count: 0, latency: null })
  t.strictSame(found.percentiles, [])
  t.equal(found.lag, null)
  t.strictSame(upstream.seen, [])
})

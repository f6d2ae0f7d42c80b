// A fault that nobody catches ends the process, and says where it was, not what was on its way.
import t from 'tap'
import { jwt, link, secret, startUpstream } from '../stage.ts'
import { start } from './child.ts'

const upstream = await startUpstream(t)
const url = link()

t.test('a crash leaves one line without what the fault says', async (t) => {
  const rows = [
    ['an error', `throw Object.assign(new TypeError('Invalid URL: ${url}'), { input: '${url}' })`],
    ['an error about an error', `throw new Error('${jwt()}', { cause: new Error('${secret}') })`],
    ['a rejection', `Promise.reject(new Error('${url}'))`],
    ['what is no error', `throw '${url}'`],
    ['a rejection with no error', `Promise.reject({ url: '${url}' })`],
  ] as const
  for (const [name, fault] of rows) {
    const folder = t.testdir({ 'fault.mjs': `process.on('SIGUSR2', () => { ${fault} })` })
    const gateway = await start(t, upstream.origin, {
      NODE_OPTIONS: `--import=${folder}/fault.mjs`,
    })
    gateway.kill('SIGUSR2')
    const { code, signal, stderr, lines } = await gateway.ended
    t.same({ code, signal, stderr }, { code: 1, signal: null, stderr: '' }, name)
    t.match(lines.at(-1), { level: 60, event: 'internal-error', err: { type: String } }, name)
    for (const canary of ['auth=', 'eyJ', secret]) {
      t.notOk(JSON.stringify(lines).includes(canary), `${name}: ${canary}`)
    }
  }
})

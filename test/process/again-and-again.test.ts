// Started, asked and stopped a hundred times: no request is answered wrong and no process is left.
import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { link, startUpstream } from '../stage.ts'
import { accepting, bodyOf, dial, handshake, headOf, inWords } from '../websocket/peer.ts'
import { type Served, start } from './child.ts'

const rounds = 100
// Half a minute on an idle machine, and machines are not always idle.
t.setTimeout(300_000)

t.test('a hundred gateways, two at a time', { timeout: 300_000 }, async (t) => {
  const env = { NODE_COMPILE_CACHE: t.testdir() }
  const upstream = await startUpstream(
    t,
    (_, response) => response.end('ok'),
    (request, socket) => {
      socket.on('end', () => socket.end()).resume()
      socket.write(accepting(request))
    },
  )
  const wrong: string[] = []
  let left = rounds
  const work = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      const round = rounds - left
      const signal = round % 2 === 0 ? 'SIGTERM' : 'SIGINT'
      await live(t, await start(t, upstream.origin, env, { alone: true }), signal, (what) =>
        wrong.push(`${round}: ${what}`),
      )
    }
  }
  await Promise.all([work(), work()])
  t.same(wrong, [])
  t.equal(upstream.seen.length, rounds * 3, 'what was let in, and nothing else')
})

/** One gateway's life, under the requests that it meets in it. */
async function live(
  t: Test,
  gateway: Served,
  signal: NodeJS.Signals,
  wrong: (what: string) => void,
): Promise<void> {
  const ask = async (target: string, status: number, body: RegExp): Promise<void> => {
    const response = await fetch(gateway.origin + target)
    const text = await response.text()
    if (response.status !== status || !body.test(text)) wrong(`${response.status} ${text}`)
  }
  const socket = await dial(t, gateway.port)
  socket.socket.write(handshake(gateway.port, link({}, '/ws')))
  await Promise.all([
    ask(link(), 200, /^ok$/),
    ask(link({}, '/assets/a.js'), 200, /^ok$/),
    ask('/', 401, /"status":401/),
    ask(link({ userId: 'other' }), 403, /"status":403/),
    socket.until(headOf),
  ])
  gateway.kill(signal)
  const words = inWords(bodyOf(await socket.ended))
  if (!/^close 1012/.test(words.join())) wrong(`socket: ${words.join()}`)
  socket.socket.destroy()
  const { code, stderr, lines } = await gateway.ended
  if (code !== 0 || stderr !== '') wrong(`exit ${code}: ${stderr}`)
  const access = lines.filter(({ event }) => event === 'access')
  if (access.length !== 6) wrong(`${access.length} audit lines`)
  if (isRunning(gateway.pid)) wrong(`process ${gateway.pid} is left`)
}

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

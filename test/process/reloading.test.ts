// SIGHUP and changed files: right settings are gone on with, wrong ones change nothing and are named.
import { once } from 'node:events'
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { ask, link, secret, startUpstream, type Upstream } from '../stage.ts'
import { accepting } from '../websocket/peer.ts'
import { type Child, run } from './child.ts'

interface Reloadable extends Child {
  readonly origin: string
  /** Writes `.env` anew, with these lines beside the usual ones. */
  readonly set: (lines?: Readonly<Record<string, string>>) => void
  /** SIGHUP, and the line that says what came of it: nothing wrong, or this problem among others. */
  readonly reload: (problem?: RegExp) => Promise<readonly string[]>
  /** The policy that answers come with. */
  readonly policy: () => Promise<string>
}

const other = `hex:${'a5'.repeat(16)}${'5a'.repeat(16)}`

async function startReloadable(
  t: Test,
  upstream: Upstream,
  changes: Readonly<Record<string, string>> = {},
): Promise<Reloadable> {
  const cwd = t.testdir({ copy: {} })
  const usual = {
    COPILOT_URL: upstream.origin,
    JWT_SECRET: secret,
    FRAME_ANCESTORS: 'https://cc.example',
    PORT: '0',
    ADMIN_PORT: 'off',
    ...changes,
  }
  const set: Reloadable['set'] = (lines = {}) => {
    const all = Object.entries({ ...usual, ...lines }).map((pair) => pair.join('='))
    // Whole at any moment, as an editor would write it.
    writeFileSync(join(cwd, '.env.next'), all.join('\n'))
    renameSync(join(cwd, '.env.next'), join(cwd, '.env'))
  }
  set()
  const child = run(t, {}, { cwd })
  const { addresses } = await child.logged((line) => line['event'] === 'listening')
  const origin = String([addresses].flat()[0])
  return {
    ...child,
    origin,
    set,
    async reload(problem) {
      const before = child.lines.length
      child.kill('SIGHUP')
      // A file that changed is seen too, so there may be others.
      const line = await child.logged(
        (line) => child.lines.indexOf(line) >= before && isEnd(line, problem),
      )
      return problemsOf(line)
    },
    async policy() {
      return String((await ask(origin)).headers['content-security-policy'])
    },
  }
}

function isEnd(line: Record<string, unknown>, problem?: RegExp): boolean {
  if (problem === undefined) return line['event'] === 'reloaded'
  return line['event'] === 'reload-failed' && problemsOf(line).some((one) => problem.test(one))
}

function problemsOf({ problems = [] }: Record<string, unknown>): string[] {
  return [problems].flat().map(String)
}

async function startPage(t: Test): Promise<Upstream> {
  return startUpstream(
    t,
    (_, response) => response.end('ok'),
    (request, socket) => {
      socket.on('end', () => socket.end()).resume()
      socket.write(accepting(request))
    },
  )
}

t.test('SIGHUP: new requests get the new settings', async (t) => {
  const gateway = await startReloadable(t, await startPage(t))
  t.match(await gateway.policy(), 'https://cc.example')
  gateway.set({ FRAME_ANCESTORS: 'https://next.example' })
  await gateway.reload()
  t.match(await gateway.policy(), 'https://next.example')
})

t.test('what has changed is named, so that a change that did not arrive is seen', async (t) => {
  const gateway = await startReloadable(t, await startPage(t))
  const changed = async (): Promise<unknown> => {
    const before = gateway.lines.length
    gateway.kill('SIGHUP')
    const isNext = (line: Record<string, unknown>): boolean =>
      gateway.lines.indexOf(line) >= before && line['event'] === 'reloaded'
    return (await gateway.logged(isNext))['changed']
  }
  t.same(await changed(), [])
  gateway.set({ FRAME_ANCESTORS: 'https://next.example' })
  t.match(await changed(), [/\.env$/])
  t.same(await changed(), [], 'against those that it has now')
})

t.test('wrong settings change nothing, and every problem is named', async (t) => {
  const gateway = await startReloadable(t, await startPage(t))
  const rows: readonly (readonly [string, Readonly<Record<string, string>>, readonly RegExp[]])[] =
    [
      ['a value', { CLOCK_TOLERANCE: 'soon' }, [/^CLOCK_TOLERANCE must/]],
      [
        'two at once',
        { RATE_LIMIT: 'some', FRAME_ANCESTORS: '*' },
        [/^RATE_LIMIT must/, /^FRAME_ANCESTORS /],
      ],
      ['a secret that is too short', { JWT_SECRET: 'short' }, [/^JWT_SECRET /]],
      [
        'a file that is not there',
        { COPILOT_API_TOKEN_FILE: '/nowhere' },
        [/^COPILOT_API_TOKEN_FILE /],
      ],
      ['another port', { PORT: '1' }, [/^PORT has changed, which needs a restart$/]],
      ['another address', { HOST: '127.0.0.2' }, [/^HOST has changed/]],
      ['an admin listener', { ADMIN_PORT: '0' }, [/^ADMIN_HOST has/, /^ADMIN_PORT has changed/]],
      ['a links API', { LINKS_PORT: '0' }, [/^LINKS_HOST has/, /^LINKS_PORT has changed/]],
      ['workers', { WORKERS: '2' }, [/^WORKERS has changed/]],
      ['Redis', { REDIS_URL: 'redis://127.0.0.1:1' }, [/^REDIS_URL has changed/]],
    ]
  for (const [name, lines, problems] of rows) {
    gateway.set({ FRAME_ANCESTORS: 'https://never.example', ...lines })
    const texts = await gateway.reload(problems[0])
    for (const problem of problems) {
      t.ok(
        texts.some((text) => problem.test(text)),
        `${name}: ${texts}`,
      )
    }
    t.match(await gateway.policy(), 'https://cc.example', `${name}: the old ones stay`)
  }
  gateway.set({ FRAME_ANCESTORS: 'https://next.example' })
  await gateway.reload()
  t.match(await gateway.policy(), 'https://next.example', 'and it can still be mended')
})

t.test('a file that changes is enough', async (t) => {
  const gateway = await startReloadable(t, await startPage(t))
  gateway.set({ FRAME_ANCESTORS: 'https://watched.example' })
  await gateway.logged((line) => isEnd(line))
  t.match(await gateway.policy(), 'https://watched.example')
})

t.test('a secret that Kubernetes mounts changes by a symbolic link above it', async (t) => {
  const volume = join(t.testdir({ volume: {} }), 'volume')
  const mount = (version: string, text: string): void => {
    mkdirSync(join(volume, version))
    writeFileSync(join(volume, version, 'jwt'), text)
    symlinkSync(version, join(volume, '..data_tmp'))
    renameSync(join(volume, '..data_tmp'), join(volume, '..data'))
  }
  mount('..first', secret)
  symlinkSync('..data/jwt', join(volume, 'jwt'))
  const upstream = await startPage(t)
  const gateway = run(t, {
    COPILOT_URL: upstream.origin,
    JWT_SECRET_FILE: join(volume, 'jwt'),
    PORT: '0',
    ADMIN_PORT: 'off',
  })
  const { addresses } = await gateway.logged((line) => line['event'] === 'listening')
  const origin = String([addresses].flat()[0])
  t.equal((await ask(origin)).status, 200)
  mount('..second', other)
  await gateway.logged((line) => isEnd(line))
  t.equal((await ask(origin)).status, 401, 'the old secret verifies nothing any more')
})

t.test('a secret that is gone ends its sockets and sessions; one beside it does not', async (t) => {
  const gateway = await startReloadable(t, await startPage(t))
  const socket = new WebSocket(gateway.origin.replace('http', 'ws') + link({}, '/ws'))
  await once(socket, 'open')
  const [line = ''] = (await ask(gateway.origin)).headers['set-cookie'] ?? []
  const cookie = line.slice(0, line.indexOf(';'))
  const bySession = async (): Promise<number> =>
    (await ask(gateway.origin, '/assets/a.js', { headers: { cookie } })).status

  gateway.set({ JWT_SECRET: `${other} ${secret}` })
  await gateway.reload()
  t.equal(socket.readyState, WebSocket.OPEN, 'rotated: the socket stays')
  t.equal(await bySession(), 200, 'and so does the session')

  gateway.set({ JWT_SECRET: other })
  const closed = once(socket, 'close')
  await gateway.reload()
  const [code, reason] = await closed
  t.equal(`${code} ${reason}`, '1008 session-revoked')
  t.equal(await bySession(), 401)
})

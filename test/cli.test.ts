import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, copyFileSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import jsonwebtoken from 'jsonwebtoken'
import t, { type Test } from 'tap'
import { environment } from './environment.ts'

const cli = fileURLToPath(new URL('../src/cli.ts', import.meta.url))
const secret = '0123456789abcdef'.repeat(4)
const needed = {
  COPILOT_URL: 'https://copilot.example',
  JWT_SECRET: `hex:${secret}`,
  FRAME_ANCESTORS: 'cc.example',
  REQUIRE_EXP: 'true',
  COPILOT_API_TOKEN: 'the-api-token-of-the-backend',
  URL_TOKENS: 'T',
}
const who = ['--user', 'U', '--session', 'S', '--url-token', 'T'] as const
type Env = Readonly<Record<string, string>>

/** A directory without a .env file. */
const empty = t.testdir({})

/** `preload` is a module that runs before the command, `input` what it can read. */
function begin(
  args: readonly string[],
  env: Env,
  cwd = empty,
  preload = '',
  input = '',
): ChildProcess {
  const module = `data:text/javascript,${encodeURIComponent(preload)}`
  const child = spawn(process.execPath, ['--import', module, cli, ...args], {
    cwd,
    env: { ...environment, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  // Whoever reads none of it may be gone before it is written.
  child.stdin.on('error', () => {}).end(input)
  return child
}

async function run(args: readonly string[], env: Env = {}, cwd = empty, preload = '', input = '') {
  const child = begin(args, env, cwd, preload, input)
  const [stdout, stderr, [code]] = await Promise.all([
    child.stdout ? text(child.stdout) : '',
    child.stderr ? text(child.stderr) : '',
    once(child, 'exit'),
  ])
  return { stdout, stderr, code }
}

t.test('a build without the compiler says which commands that leaves', async (t) => {
  const folder = t.testdir({})
  const build = join(folder, 'build.ts')
  copyFileSync(fileURLToPath(new URL('../build.ts', import.meta.url)), build)
  const said = (): string => {
    const { status, stderr } = spawnSync(process.execPath, [build], { encoding: 'utf8' })
    t.equal(status, 0)
    return stderr
  }
  t.match(said(), /^Nothing is built.*node src\/cli\.ts work, npx copilot-gateway does not\.$/m)
  mkdirSync(join(folder, 'dist'))
  t.notMatch(said(), 'Nothing is built', 'a dist/ that came along')
})

t.test('a build can be run, the next one too', async (t) => {
  const clone = fileURLToPath(new URL('..', import.meta.url))
  const folder = t.testdir({})
  const own = ['build.ts', 'dist']
  for (const entry of readdirSync(clone).filter((name) => !own.includes(name))) {
    symlinkSync(join(clone, entry), join(folder, entry))
  }
  copyFileSync(join(clone, 'build.ts'), join(folder, 'build.ts'))
  const PATH = `${join(clone, 'node_modules/.bin')}:${environment.PATH}`
  // What the test runner preloads is not to be had by the compiler.
  const args = ['-u', 'NODE_OPTIONS', process.execPath, join(folder, 'build.ts')]
  execFileSync('env', args, { env: { ...environment, PATH } })
  // npm makes what a package's bin names executable when it links it, and a build makes it anew.
  accessSync(join(folder, 'dist/src/cli.js'), constants.X_OK)
})

t.test('what is wrong with the settings goes to stderr, all of it', async (t) => {
  const problems = [
    /^COPILOT_URL is required: /m,
    /^JWT_SECRET has 5 bytes, but HS256 needs 32: /m,
    /^PORT must be a port from 0 to 65535/m,
  ]
  const env = { JWT_SECRET: 'short', PORT: 'x' }
  for (const args of [['check'], ['start'], []]) {
    const { stdout, stderr, code } = await run(args, env)
    t.equal(code, 1, args.join())
    t.equal(stdout, '')
    for (const problem of problems) t.match(stderr, problem)
    t.equal(/npm run demo/.test(stderr), args[0] !== 'check', 'start names the demo')
    t.notMatch(stderr, / at .*\.ts:/, 'no stack')
  }
})

t.test('check says what every setting is and shows no secret', async (t) => {
  const { stdout, stderr, code } = await run(['check'], {
    ...needed,
    JWT_SECRET: `${needed.JWT_SECRET} ${secret}`,
    COPILOT_URL: 'https://Copilot.example/base/',
    PUBLIC_URL: 'https://gateway.example/',
  })
  t.equal(code, 0)
  t.equal(stderr, '')
  t.match(stdout, /^COPILOT_URL +https:\/\/copilot\.example\/base$/m)
  t.match(stdout, /^COPILOT_API_URL +https:\/\/copilot\.example$/m)
  t.match(stdout, /^JWT_SECRET +2 \(32 bytes, 64 bytes\)$/m)
  t.match(stdout, /^FRAME_ANCESTORS +https:\/\/cc\.example$/m)
  t.match(stdout, /^PUBLIC_URL +https:\/\/gateway\.example$/m)
  t.match(stdout, /^PORT +8080$/m)
  t.match(stdout, /^TLS_CERT_FILE +none$/m)
  t.match(stdout, /^JWT_SECRET \(secret 2 of 2\) looks like hex/m, 'the warnings')
  t.match(stdout, /^COPILOT_API_TOKEN +28 characters$/m)
  t.notMatch(stdout, secret)
  t.notMatch(stdout, needed.COPILOT_API_TOKEN)
  const calm = await run(['check'], { ...needed, FRAME_ANCESTORS: "'none'" })
  t.match(calm.stdout, /^FRAME_ANCESTORS +'none'$/m)
  t.match(calm.stdout, /^PUBLIC_URL +from Host$/m)
  t.notMatch(calm.stdout, /Warnings/)
})

t.test('.env is read, and the environment wins', async (t) => {
  const written = Object.entries({ ...needed, PORT: '1', HOST: '::1', COPILOT_TOKEN: secret })
  const cwd = t.testdir({ '.env': `\uFEFF${written.map((pair) => pair.join('=')).join('\n')}\n` })
  const { stdout, code } = await run(['check'], { PORT: '2' }, cwd)
  t.equal(code, 0)
  t.match(stdout, /^COPILOT_URL +https:\/\/copilot\.example\/$/m)
  t.match(stdout, /^HOST +::1$/m)
  t.match(stdout, /^PORT +2$/m)
  t.match(stdout, /^COPILOT_TOKEN in \.env is no setting of the gateway$/m)
  t.notMatch(stdout, secret)

  const unreadable = t.testdir({ '.env': {} })
  for (const args of [['check'], ['start'], ['link', ...who]]) {
    const refused = await run(args, needed, unreadable)
    t.equal(refused.code, 1, args[0] ?? '')
    t.match(refused.stderr, /^\.env must be a file that can be read \(EISDIR\)$/m)
  }
})

t.test('a secret comes from a file', async (t) => {
  const cwd = t.testdir({ secret: `${needed.JWT_SECRET}\n` })
  const env = { ...needed, JWT_SECRET: '', JWT_SECRET_FILE: 'secret' }
  t.match((await run(['check'], env, cwd)).stdout, /^JWT_SECRET +1 \(32 bytes\)$/m)
  const absent = await run(['check'], env)
  t.equal(absent.stderr, 'JWT_SECRET_FILE must name a file that can be read (ENOENT)\n')
})

t.test('link prints one signed URL and nothing else', async (t) => {
  const key = Buffer.from(secret, 'hex')
  const rows: readonly (readonly [string, readonly string[], Env, string])[] = [
    ['the default address', [], {}, 'http://127.0.0.1:8080/'],
    ['HOST and PORT', [], { HOST: 'gw.example', PORT: '81' }, 'http://gw.example:81/'],
    ['an IPv6 HOST', [], { HOST: '::1' }, 'http://[::1]:8080/'],
    ['any address', [], { HOST: '0.0.0.0' }, 'http://localhost:8080/'],
    ['TLS', [], { TLS_CERT_FILE: 'cert.pem' }, 'https://127.0.0.1:8080/'],
    ['PUBLIC_URL', [], { PUBLIC_URL: 'https://a.example https://b.example' }, 'https://a.example/'],
    ['--base', ['--base', 'https://c.example/d/'], { PORT: '0' }, 'https://c.example/d'],
  ]
  const printed = rows.map(async ([name, args, env, base]) => {
    const { JWT_SECRET } = needed
    const { stdout, stderr, code } = await run(['link', ...who, ...args], { JWT_SECRET, ...env })
    t.equal(code, 0, name)
    t.equal(stderr, '')
    const [url = '', rest] = stdout.split('\n')
    t.equal(rest, '')
    t.equal(url.replace(/auth=.*/, 'auth='), `${base}?userId=U&sessionId=S&URLToken=T&auth=`)
    const claims = Object(jsonwebtoken.verify(new URL(url).searchParams.get('auth') ?? '', key))
    t.match(claims, { userId: 'U', sessionId: 'S', URLToken: 'T' })
    t.equal(claims.exp - claims.iat, 8 * 3600, 'eight hours')
  })
  await Promise.all(printed)
  const env = { JWT_SECRET: `${needed.JWT_SECRET} utf8:${secret}` }
  const { stdout } = await run(['link', ...who, '--expires', '1m'], env)
  const claims = Object(jsonwebtoken.verify(stdout.trim().split('auth=')[1] ?? '', key))
  t.equal(claims.exp - claims.iat, 60, 'signed with the newest secret, for as long as asked')
})

t.test('a YAML file holds settings, and several contact centers', async (t) => {
  const hash = '5e0f3c7a'.repeat(8)
  const [south, session] = ['south', 'session'].map((name) => `${name} `.repeat(9).trim())
  const cwd = t.testdir({
    conf: {
      'gateway.yaml': `
copilotUrl: https://copilot.example
copilotApiToken: {env: API_TOKEN}
requireExp: true
sessionSecret: {file: session}
contactCenters:
  - {name: north, secrets: [{file: north}], frameAncestors: [n.example, "'self'"], urlTokens: [n1, n2]}
  - {name: south, secrets: [{env: SOUTH}, {file: north}], frameAncestors: s.example, urlTokens: s1, oneTimeTokens: true, linksClients: [crm:sha256:${hash}, pbx:sha256:${hash}]}
  - {name: west, keys: {jwks: "https://w.example/jwks?key=k"}, frameAncestors: w.example, urlTokens: w1, tokenMaxAge: 1m}
`,
      north: needed.JWT_SECRET,
      session: `utf8:${session?.replaceAll(' ', '-')}`,
    },
  })
  const env = { API_TOKEN: needed.COPILOT_API_TOKEN, SOUTH: `utf8:${south?.replaceAll(' ', '-')}` }
  const config = ['--config', 'conf/gateway.yaml'] as const
  const checked = await run(['check', ...config], { ...env, PORT: '2' }, cwd)
  t.equal(checked.stderr, '')
  t.equal(checked.code, 0)
  t.match(checked.stdout, /^COPILOT_URL +https:\/\/copilot\.example\/$/m)
  t.match(checked.stdout, /^COPILOT_API_TOKEN +28 characters$/m)
  t.match(checked.stdout, /^PORT +2$/m)
  t.match(checked.stdout, /^JWT_SECRET +of each contact center$/m)
  t.match(checked.stdout, /^SESSION_SECRET +1 \(\d\d bytes\)$/m)
  for (const line of [
    /^north +keys 1 \(32 bytes\); frame ancestors https:\/\/n\.example 'self'; URLTokens 2; exp required; age any; .* one-time false; enforce$/m,
    /^south +keys 2 \(\d\d bytes, 32 bytes\); .* one-time true; links clients crm pbx; enforce$/m,
    /^west +keys public, at https:\/\/w\.example\/jwks; .* URLTokens 1; exp required; age 60000ms; /m,
  ]) {
    t.match(checked.stdout, line)
  }
  t.notMatch(checked.stdout, new RegExp(`${secret}|the-api|session-session|south-south|n1|k$`, 'm'))

  const link = (...args: string[]) => run(['link', ...who, ...config, ...args], env, cwd)
  const signed = await link('--contact-center', 'south')
  t.equal(signed.code, 0, signed.stderr)
  jsonwebtoken.verify(signed.stdout.trim().split('auth=')[1] ?? '', env.SOUTH.slice(5))
  const rows: readonly (readonly [string, readonly string[], 1 | 2, RegExp])[] = [
    ['several', [], 2, /^link needs --contact-center, since there are several$/m],
    ['nobody', ['--contact-center', 'east'], 2, /^There is no contact center "east"$/m],
    [
      'public keys',
      ['--contact-center', 'west'],
      1,
      /^conf\/gateway\.yaml:9:5 contactCenters\[2\] has public keys: whoever has the private ones signs its links\n$/,
    ],
  ]
  const refusals = rows.map(async ([name, args, code, stderr]) => {
    const refused = await link(...args)
    t.equal(refused.code, code, name)
    t.equal(refused.stdout, '')
    t.match(refused.stderr, stderr)
  })
  await Promise.all(refusals)
  const alone = await run(['link', ...who, '--contact-center', 'x'], needed)
  t.match(alone.stderr, /^There is no contact center "x"$/m)

  const absences = ['start', 'check', 'link'].map(async (command) => {
    const absent = await run(
      [command, '--config', 'gateway.yaml', ...(command === 'link' ? who : [])],
      env,
      cwd,
    )
    t.equal(absent.code, 1, command)
    t.match(absent.stderr, /^gateway\.yaml must be a file that can be read \(ENOENT\)$/m)
  })
  await Promise.all(absences)
  const folder = await run(['check', '--config', 'conf'], env, cwd)
  t.equal(folder.stderr, 'conf must be a file that can be read (EISDIR)\n')
})

t.test('link needs a secret and an address', async (t) => {
  const { JWT_SECRET } = needed
  const bare = await run(['link', ...who])
  t.equal(bare.code, 1)
  t.match(bare.stderr, /^JWT_SECRET is required/)
  const wrong = await run(['link', ...who], { JWT_SECRET, PORT: 'x', HOST: 'a b' })
  t.equal(wrong.code, 1)
  t.match(wrong.stderr, /^HOST .*\nPORT .*\n$/)
  const unknown = await run(['link', ...who], { JWT_SECRET, PORT: '0' })
  t.equal(unknown.code, 2)
  t.match(unknown.stderr, /^link needs --base, since PORT is 0$/m)
})

t.test('uui says what a value holds, and shows nothing that opens it', async (t) => {
  const token = '9c1fe7a2b04d'
  const url = `https://gateway.example/base?userId=agent%E2%80%AE%1B7&sessionId=s&URLToken=${token}`
  const signed = `${url}&auth=${'head.claims.signature'}`
  const hex = `00${Buffer.from(signed).toString('hex')};encoding=hex;purpose=isdn-uui;content=a%1b`
  const short = `https://links.example/o/${token}abcdefghij`
  const siprec = 'X-User-ID: agent-7\r\nX-Session-ID: session-1\r\n'
  const nothing = 'https://gateway.example/?userId=agent-7'
  const rows: readonly (readonly [string, readonly string[], string, RegExp[], RegExp[]])[] = [
    [
      'a signed link in hex',
      [hex],
      '',
      [
        /^link to +https:\/\/gateway\.example\/base$/m,
        /^userId +agent\\u\{202e\}\\u\{1b\}7$/m,
        /^sessionId +s$/m,
        /^URLToken +hidden, 12 long/m,
        /^auth +a token, which is not shown$/m,
        /^written +hex$/m,
        /^discriminator +00$/m,
        /^purpose +isdn-uui$/m,
        /^content +a%1b$/m,
        /^Warnings:\nThe value has \d+ characters: Genesys Cloud advises at most 128/m,
      ],
      [/9c1fe7/, /claims/, /auth=/],
    ],
    [
      'a plain link, shown',
      ['--show', url],
      '',
      [/^URLToken +9c1fe7a2b04d$/m, /^auth +none$/m, /^written +as it is$/m],
      [/^discriminator +\d/m],
    ],
    ['a signed link, shown', ['--show', signed], '', [/^URLToken +9c1fe7a2b04d$/m], [/claims/]],
    ['a header from stdin', ['-'], `User-to-User: ${hex}`, [/^written +hex$/m], [/9c1fe7/]],
    [
      'a short link',
      [short],
      '',
      [/^short link +https:\/\/links\.example\/o\/… hidden, 22 long/m],
      [/9c1/],
    ],
    ['a short link, shown', ['--show', short], '', [/\/o\/9c1fe7a2b04dabcdefghij$/m], []],
    ['SIPREC', ['-'], siprec, [/^userId +agent-7\nsessionId +session-1\nURLToken +not/], [/Warn/]],
  ]
  const said = rows.map(async ([name, args, input, holds, lacks]) => {
    const { stdout, stderr, code } = await run(['uui', ...args], {}, empty, '', input)
    t.equal(code, 0, name)
    t.equal(stderr, '')
    for (const shape of holds) t.match(stdout, shape, name)
    for (const shape of [...lacks, /[^\n\P{C}]/u]) t.notMatch(stdout, shape, name)
  })
  await Promise.all(said)
  const refused = await run(['uui', nothing])
  t.equal(refused.code, 1)
  t.equal(refused.stdout, '')
  const why = 'The link has no sessionId, URLToken: it is cut off, or not of Copilot\n'
  t.equal(refused.stderr, why)
})

t.test('wrong usage', async (t) => {
  const rows: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['no such command', ['stop'], /^There is no command stop$/m],
    ['no such option', ['--port', '1'], /^Unknown option '--port'/m],
    [
      'a file of settings without a name',
      ['check', '--config'],
      /^Option '--config <value>' argument/m,
    ],
    ['a file of settings for the demo', ['demo', '--config', 'x'], /^Unknown option '--config'/m],
    ['an option of another command', ['check', '--user', 'U'], /^Unknown option '--user'/m],
    ['one word too many', ['start', 'now'], /^Unexpected argument 'now'/m],
    ['link of nobody', ['link'], /^link needs --user, --session and --url-token/m],
    ['link of an empty name', ['link', ...who, '--user='], /^link needs --user/m],
    ['an option without value', ['link', ...who, '--base'], /^Option '--base <value>' argument/m],
    ['uui of nothing', ['uui'], /^uui needs one value, /m],
    ['uui of several', ['uui', 'a', 'b'], /^uui needs one value, /m],
    ['an option that uui lacks', ['uui', '--hide', 'a'], /^Unknown option '--hide'/m],
    ['no base', ['link', ...who, '--base', 'gateway'], /^--base must be a URL of http or https/m],
    ['no duration', ['link', ...who, '--expires', '8'], /^--expires must be a number and ms/m],
    ['no time', ['link', ...who, '--expires', '1ms'], /^--expires must be 1s or more$/m],
  ]
  const refusals = rows.map(async ([name, args, message]) => {
    const { stdout, stderr, code } = await run(args, needed)
    t.equal(code, 2, name)
    t.equal(stdout, '')
    t.match(stderr, message)
    t.match(stderr, /^Usage: copilot-gateway /m)
    if (args[0] === 'uui') t.match(stderr, /\nUsage: copilot-gateway uui\n.*--show/s)
    if (args[0] === 'uui') t.notMatch(stderr, /--agents|--user/, 'nor of other commands')
  })
  await Promise.all(refusals)
})

t.test('help and version', async (t) => {
  for (const args of [['--help'], ['-h'], ['link', '--help']]) {
    const { stdout, stderr, code } = await run(args)
    t.equal(code, 0, args.join(' '))
    t.match(stdout, /^Usage: copilot-gateway /)
    t.equal(stderr, '')
  }
  const { stdout, code } = await run(['--version'])
  t.equal(code, 0)
  t.match(stdout, /^\d+\.\d+\.\d+\n$/)
})

t.test('start says where it listens, and ends in order at a signal', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const cwd = t.testdir({ 'gateway.yaml': 'requireExp: false' })
    const args = ['start', '--config', 'gateway.yaml']
    const env = { REQUIRE_EXP: '' }
    const { child, exit, lines, address } = await listening(t, env, args, cwd)
    const setting = 'gateway.yaml:1:1 requireExp'
    t.match(
      lines.find((line) => Object(line).setting === setting),
      { event: 'setting-warning', level: 40 },
    )
    t.match(address, /^http:\/\/127\.0\.0\.1:\d+$/)
    t.equal((await fetch(address)).status, 401)
    child.kill(signal)
    t.strictSame(await exit, [0, null], signal)
  }
})

t.test('a second signal ends the gateway at once', async (t) => {
  const upstream = createServer()
  t.teardown(() => upstream.closeAllConnections())
  t.teardown(() => upstream.close())
  await once(upstream.listen(0, '127.0.0.1'), 'listening')
  const env = { COPILOT_URL: `http://127.0.0.1:${portOf(upstream)}`, UPSTREAM_TIMEOUT: '1h' }
  const { child, exit, address } = await listening(t, { ...env, DRAIN_TIMEOUT: '1h' })
  const link = await run(['link', ...who, '--base', address], needed)
  const answer = t.rejects(fetch(link.stdout.trim()), 'the request under way is cut')
  await once(upstream, 'request')
  child.kill('SIGINT')
  await refused(Number(new URL(address).port))
  t.equal(child.exitCode, null, 'it waits for the request under way')
  child.kill('SIGTERM')
  t.strictSame(await exit, [143, null])
  await answer
})

t.test('an address that is taken ends start in one line', async (t) => {
  const taken = createServer()
  t.teardown(() => taken.close())
  await once(taken.listen(0, '127.0.0.1'), 'listening')
  const port = portOf(taken)
  const { stdout, stderr, code } = await run(['start'], { ...needed, PORT: `${port}` })
  t.equal(code, 1)
  t.equal(stdout, '')
  t.equal(
    stderr,
    `Cannot listen on HOST 127.0.0.1, PORT ${port}: EADDRINUSE, something else listens there\n`,
  )
  const nowhere = await run(['start'], { ...needed, HOST: '192.0.2.1', LOG_LEVEL: 'silent' })
  t.equal(nowhere.code, 1)
  t.equal(
    nowhere.stderr,
    'Cannot listen on HOST 192.0.2.1, PORT 8080: EADDRNOTAVAIL, HOST is no address of this machine\n',
  )
})

t.test('demo runs the demo, or says what it needs', async (t) => {
  const rows: readonly (readonly [string, string, number, string, RegExp])[] = [
    ['it runs', `export const runDemo = async () => console.log('runs')`, 0, 'runs\n', /^$/],
    [
      'a package is missing',
      `import 'no-such-package'; export const runDemo = () => {}`,
      1,
      '',
      /^The demo needs the development dependencies: run npm ci first\.\n$/,
    ],
    ['it fails', `export const runDemo = () => { throw Error('broken') }`, 1, '', /Error: broken/],
  ]
  for (const [name, source, code, stdout, stderr] of rows) {
    const preload = `
      import { registerHooks } from 'node:module'
      const source = ${JSON.stringify(source)}
      const format = 'module'
      registerHooks({
        resolve: (name, from, next) =>
          name.endsWith('/demo/main.ts')
            ? { url: new URL(name, from.parentURL).href, format, shortCircuit: true }
            : next(name, from),
        load: (url, from, next) =>
          url.endsWith('/demo/main.ts') ? { format, source, shortCircuit: true } : next(url, from),
      })`
    const result = await run(['demo'], {}, empty, preload)
    t.equal(result.code, code, name)
    t.equal(result.stdout, stdout)
    t.match(result.stderr, stderr)
  }
})

t.test('a Node.js that is too old to load a command is named', async (t) => {
  const preload = `
    import { registerHooks } from 'node:module'
    Object.defineProperty(process.versions, 'node', { value: '20.20.2' })
    registerHooks({
      load: (url, from, next) =>
        url.endsWith('/commands/version.ts')
          ? { format: 'module', source: 'import { no } from "node:module"', shortCircuit: true }
          : next(url, from),
    })`
  for (const command of ['start', '--version']) {
    const { stdout, stderr, code } = await run([command], needed, empty, preload)
    t.same({ stdout, code }, { stdout: '', code: 1 }, command)
    t.equal(stderr, 'Node.js 20.20.2 is too old for the gateway: run 22.23.2 or newer\n')
  }
})

t.test('a fault of the gateway is not taken for one of its user', async (t) => {
  const rows: readonly (readonly [string, string])[] = [
    ['check', `process.stdout.write = () => { throw new Error('broken') }`],
    [
      'start',
      `import { Server } from 'node:net'
       Server.prototype.listen = () => { throw new Error('broken') }`,
    ],
  ]
  for (const [command, preload] of rows) {
    const { stderr, code } = await run([command], needed, empty, preload)
    t.equal(code, 1, command)
    t.match(stderr, /^Error: broken\n +at /m)
    t.notMatch(stderr, /Usage|HOST/)
  }
})

/** A started gateway and its log lines, as soon as it listens. */
async function listening(t: Test, env: Env, args: readonly string[] = ['start'], cwd = empty) {
  const child = begin(args, { ...needed, PORT: '0', ADMIN_PORT: 'off', ...env }, cwd)
  t.teardown(() => child.kill('SIGKILL'))
  const exit = once(child, 'exit')
  const lines: unknown[] = []
  const address = await new Promise<string>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`start ended with ${code}`)))
    if (child.stdout === null) return
    createInterface({ input: child.stdout }).on('line', (line) => {
      const entry: { readonly event: string; readonly addresses: readonly string[] } =
        JSON.parse(line)
      lines.push(entry)
      if (entry.event === 'listening') resolve(entry.addresses[0] ?? '')
    })
  })
  return { child, exit, lines, address }
}

/** Resolves once nothing listens on a port of this machine any more. */
async function refused(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
  } catch {
    return
  }
  socket.destroy()
  await once(socket, 'close')
  return refused(port)
}

function portOf(server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

import t from 'tap'
import { readConfig, readSource } from '../../src/settings/config.ts'
import { type Setting, settings, yamlName } from '../../src/settings/table.ts'
import { configOf, findingsOf, secrets, tell } from './tell.ts'

const base = 'jwtSecret: {file: a}\nurlTokens: f38791ae\n'

t.test('the settings have their names in camelCase', (t) => {
  const names = Object.values<Setting>(settings).map(yamlName)
  t.match(names, ['copilotUrl', 'copilotApiUrl', 'copilotApiToken', 'jwtSecret', 'sessionSecret'])
  for (const name of ['wsMaxPayload', 'tlsCertFile', 'drainTimeout', 'host']) {
    t.ok(names.includes(name), name)
  }
  t.equal(new Set(names).size, names.length)
  t.end()
})

t.test('a value is written as YAML has it, or as text', (t) => {
  const rows: readonly (readonly [
    string,
    (config: ReturnType<typeof configOf>) => unknown,
    unknown,
  ])[] = [
    ['port: 81', (c) => c.listener.port, 81],
    ['port: "81"', (c) => c.listener.port, 81],
    ['sessionOutlivesToken: true', (c) => c.sessions.outliveToken, true],
    ['sessionOutlivesToken: True', (c) => c.sessions.outliveToken, true],
    ['sessionOutlivesToken: "true"', (c) => c.sessions.outliveToken, true],
    ['forwardAuth: false', (c) => c.forwardAuth, false],
    ['forwardAuth: resign', (c) => c.forwardAuth, 'resign'],
    ['adminPort: off', (c) => c.admin, null],
    ['workers: 2', (c) => c.workers, 2],
    ['drainTimeout: 0', (c) => c.drainTimeout, 0],
    ['drainTimeout: 1.5s', (c) => c.drainTimeout, 1500],
    ['bodyLimit: 1024', (c) => c.listener.bodyLimit, 1024],
    ['bodyLimit: 2mb', (c) => c.listener.bodyLimit, 2 ** 21],
    ['rateLimit: 5/1s', (c) => c.rateLimit, { count: 5, window: 1000 }],
    ['logLevel: silent', (c) => c.logLevel, 'silent'],
    ['publicUrl: https://a.example https://b.example', (c) => c.publicOrigins?.length, 2],
    ['publicUrl: [https://a.example, https://b.example]', (c) => c.publicOrigins?.length, 2],
    ['publicUrl:\n  - https://a.example', (c) => c.publicOrigins, ['https://a.example']],
    ['trustProxy: [10.0.0.0/8, "::1"]', (c) => c.trustedProxies, ['10.0.0.0/8', '::1']],
    ['redisUrl: {env: REDIS}', (c) => c.redisUrl, 'rediss://redis.example'],
    ['# nothing more', (c) => c.contactCenters[0]?.secrets, [Buffer.from(secrets[0] ?? '', 'hex')]],
  ]
  for (const [yaml, actual, expected] of rows) {
    const config = configOf({ yaml: base + yaml, env: { REDIS: 'rediss://redis.example' } })
    t.strictSame(actual(config), expected, yaml)
  }
  // A number would lose its zeros, or its last digits.
  const [center] = configOf({
    yaml: 'jwtSecret: {file: a}\nurlTokens: [007, 1e3, 12345678901234567890]',
  }).contactCenters
  t.strictSame(center?.urlTokens, ['007', '1e3', '12345678901234567890'])
  t.end()
})

t.test('the environment wins, then .env, then the file, then the default', (t) => {
  const yaml = `${base}port: 3\nsessionMaxAge: 3h\nhost: "::1"\n`
  const lines = 'PORT=2\nSESSION_MAX_AGE=2h'
  const config = configOf({ yaml, lines, env: { PORT: '1', HOST: '' } })
  t.equal(config.listener.port, 1)
  t.equal(config.sessions.maxAge, 7_200_000)
  t.equal(config.listener.host, '::1', 'what is empty is not set')
  t.equal(config.drainTimeout, 25_000)
  t.strictSame(
    configOf({ yaml, env: { JWT_SECRET_FILE: 'conf/b' } }).contactCenters[0]?.secrets,
    [Buffer.from(secrets[1] ?? '', 'hex')],
    'a file of the environment stands above a file of the YAML file',
  )
  t.end()
})

t.test(
  'what is wrong is said with its line, column and path, all at once, and quotes no value',
  (t) => {
    const at = 'conf/gateway.yaml'
    const reference = 'must be {file: path} or {env: NAME}: no secret stands in this file'
    const rows: readonly (readonly [string, ...string[]])[] = [
      [
        'copilotApiUrl: hunter2\n',
        `${at}:3:1 copilotApiUrl must be a URL of http or https, such as https://copilot.example.com`,
      ],
      [
        'host: 1\n\nport: x\n',
        `${at}:3:1 host must be text: put it in quotes`,
        `${at}:5:1 port must be a port from 0 to 65535 (0: any free one)`,
      ],
      ['sessionOutlivesToken: yes', `${at}:3:1 sessionOutlivesToken must be true or false`],
      ['sessionOutlivesToken: 1', `${at}:3:1 sessionOutlivesToken must be true or false`],
      ['host: [a]', `${at}:3:1 host must be one value, not a list`],
      ['host: {a: b}', `${at}:3:1 host must be one value, not a map`],
      ['host:', `${at}:3:1 host has no value`],
      ['host: " "', `${at}:3:1 host is empty`],
      ['publicUrl: []', `${at}:3:1 publicUrl is empty`],
      [
        'publicUrl: [https://a.example, https://b.example c]',
        `${at}:3:32 publicUrl[1] must have no white space`,
      ],
      ['publicUrl: [[https://a.example]]', `${at}:3:13 publicUrl[0] must be one value, not a list`],
      ['trustProxy: [true]', `${at}:3:14 trustProxy[0] must be text: put it in quotes`],
      ['adminToken: hunter2', `${at}:3:1 adminToken ${reference}`],
      ['redisUrl: redis://:hunter2@a', `${at}:3:1 redisUrl ${reference}`],
      ['adminToken: [hunter2]', `${at}:3:1 adminToken ${reference}`],
      ['adminToken: {}', `${at}:3:1 adminToken must have one of file and env`],
      ['adminToken: {file: a, env: A}', `${at}:3:1 adminToken must have one of file and env`],
      [
        'adminToken: {hunter2: a}',
        `${at}:3:14 adminToken.? is not known here`,
        `${at}:3:1 adminToken must have one of file and env`,
      ],
      ['adminToken: {file: [a]}', `${at}:3:14 adminToken.file must be one value, not a list`],
      [
        'adminToken: {file: absent}',
        `${at}:3:14 adminToken.file must name a file that can be read (ENOENT)`,
      ],
      ['adminToken: {env: hunter2}', `${at}:3:14 adminToken.env must name a variable that is set`],
      ['adminToken: {env: 5}', `${at}:3:14 adminToken.env must be text: put it in quotes`],
      [
        'adminToken: {file: short}',
        `${at}:3:14 adminToken.file must be one word of printable ASCII, of 16 characters or more`,
      ],
      [
        'tlsCertFile: absent.pem',
        `${at}:3:1 tlsCertFile must name a file that can be read (ENOENT)`,
        `${at}:3:1 tlsCertFile needs TLS_KEY_FILE`,
      ],
      [
        'adminPort: 8080',
        `${at}:3:1 adminPort is PORT on the same host: each listener needs one of its own`,
      ],
      [
        'frameAncestor: a',
        `${at}:3:1 frameAncestor is not known here: did you mean frameAncestors?`,
      ],
      ['COPILOT_URL: a', `${at}:3:1 COPILOT_URL is not known here: did you mean copilotUrl?`],
      [
        'max-connections: 1',
        `${at}:3:1 max-connections is not known here: did you mean maxConnections?`,
      ],
      ['something: a', `${at}:3:1 something is not known here`],
      [`${'something'.repeat(9)}: a`, `${at}:3:1 ? is not known here`],
      [`hunter2: a`, `${at}:3:1 ? is not known here`],
      ['__proto__: a', `${at}:3:1 ? is not known here`],
      ['<<: {port: 1}', `${at}:3:1 ? is not known here`],
      ['port: 1\nport: 2', `${at}:4:1 port is there twice`],
      [
        'port: &hunter2 1\nadminPort: *hunter2',
        `${at}:4:1 adminPort is an alias: write out what it stands for`,
      ],
      ['port: *hunter2', `${at}:3:1 port is an alias: write out what it stands for`],
      ['port: !!int 1', `${at}:3:1 port has a tag: leave it out`],
      ['host: !hunter2 {a: b}', `${at}:3:1 host has a tag: leave it out`],
      ['host:\n\thunter2: 1', `${at}:4:1 is indented with a tab: take spaces`],
      ['---\nport: 1', `${at}:3:1 begins a second document: there must be one`],
      ['port: 1\n...\nhunter2', `${at}:5:1 begins a second document: there must be one`],
      ['port: 1: hunter2', `${at}:3:7 holds a colon and a blank: put the value in quotes`],
      ['host: [hunter2', `${at}:3:15 is no YAML (BAD_INDENT)`],
      ['host: @hunter2', `${at}:3:7 is no YAML (BAD_SCALAR_START)`],
      ['? [hunter2]\n: 1', `${at}:3:3 is no YAML (NON_STRING_KEY)`],
      ['host: hunter\uFFFD', `${at} must be UTF-8`],
      [`# ${'x'.repeat(2 ** 20)}`, `${at} must have 1mb at most`],
      [`host: ${'['.repeat(2 ** 18)}`, `${at} is nested too deeply`],
      [
        'x: &a [a,a,a,a,a,a,a,a,a]\ny: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]',
        ...Array.from(
          { length: 9 },
          (_, i) => `${at}:4:${8 + 3 * i} y[${i}] is an alias: write out what it stands for`,
        ),
      ],
    ]
    for (const [yaml, ...expected] of rows) {
      const found = findingsOf({ yaml: base + yaml })
      t.strictSame(found, expected, yaml.slice(0, 60))
      t.notMatch(found.join('\n'), /hunter2/)
    }
    const alone: readonly (readonly [string, string])[] = [
      ['', 'must hold settings, as in copilotUrl: https://…'],
      ['# nothing', 'must hold settings, as in copilotUrl: https://…'],
      ['hunter2', 'must hold settings, as in copilotUrl: https://…'],
      ['- hunter2', 'must hold settings, as in copilotUrl: https://…'],
    ]
    for (const [yaml, message] of alone) t.strictSame(findingsOf({ yaml }), [`${at} ${message}`])
    t.strictSame(
      findingsOf({ yaml: `\uFEFF${base}port: x`.replaceAll('\n', '\r\n') }),
      [`${at}:3:1 port must be a port from 0 to 65535 (0: any free one)`],
      'a byte order mark and the lines of Windows count for nothing',
    )
    t.end()
  },
)

t.test(
  'every file that was asked for is named, and is enough to read the same again',
  async (t) => {
    const told = {
      yaml: `${base}adminToken: {env: TOKEN}\ntlsCertFile: absent.pem`,
      lines: 'TOKEN=a-token-of-the-admin-listener',
    }
    const bad = tell(told)
    t.strictSame([...bad.files].sort(), ['.env', 'conf/a', 'conf/absent.pem', 'conf/gateway.yaml'])
    t.ok('problems' in bad)
    t.strictSame(readSource(JSON.parse(JSON.stringify(bad.source))), bad)
    const good = tell({ ...told, yaml: told.yaml.replace(/tls.*/, '') })
    t.notOk('problems' in good)
    t.strictSame(readSource(JSON.parse(JSON.stringify(good.source))), good)
    t.strictSame(
      tell({ yaml: base }).files,
      ['.env', 'conf/gateway.yaml', 'conf/a'],
      '.env may come',
    )
    const asked: string[] = []
    const readFile = (path: string): string => {
      asked.push(path)
      return 'a-secret-that-is-two-things-at-once'
    }
    const twice = { JWT_SECRET_FILE: 'x', ADMIN_TOKEN_FILE: 'x' }
    readConfig(twice, { readFile, now: 0 })
    t.strictSame(asked, ['x'], 'once, so that all of it is of one moment')
    t.end()
  },
)

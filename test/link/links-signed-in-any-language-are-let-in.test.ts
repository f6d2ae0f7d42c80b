// The programs of docs/signing.md, as they stand there.
import { execFile, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { jwtVerify } from 'jose'
import t from 'tap'
import { know } from '../sinks.ts'
import { ask, startGateway, startUpstream } from '../stage.ts'

const run = promisify(execFile)
const page = readFileSync(new URL('../../docs/signing.md', import.meta.url), 'utf8')

interface Language {
  /** The heading that its program stands under. */
  readonly name: string
  /** What has to be installed. */
  readonly tool: string
  readonly file: string
  /** What compiles it, once for all secrets. */
  readonly build?: Command
  readonly command: Command
}

type Command = readonly [string, ...string[]]

const languages: readonly Language[] = [
  { name: 'Python', tool: 'python3', file: 'link.py', command: ['python3', 'link.py'] },
  {
    name: 'Java',
    tool: 'javac',
    file: 'Link.java',
    build: ['javac', '-J-XX:TieredStopAtLevel=1', 'Link.java'],
    // A small program is run sooner than the big compiler is warm.
    command: ['java', '-XX:TieredStopAtLevel=1', 'Link'],
  },
  {
    name: 'Go',
    tool: 'go',
    file: 'link.go',
    build: ['go', 'build', 'link.go'],
    command: ['./link'],
  },
  { name: 'PHP', tool: 'php', file: 'link.php', command: ['php', 'link.php'] },
  { name: 'openssl', tool: 'openssl', file: 'link.sh', command: ['sh', 'link.sh'] },
]

const bytes = Buffer.from('5d0c9b3e71f84a26b8e3d7124fa9c60b92e85f1d3c7a4b06e1f8d2957c34a0fb', 'hex')
// Its base64 has a +, a / and an =.
const other = Buffer.from('fbff8a7f02d95b36e8f70a1c4d93b25e6f8b0d17a2c45e9380f1b6d7c2a94e53', 'hex')
const words = 'wörter-die-sonst-niemand-so-schreibt-Ω'
const secrets: readonly (readonly [string, Buffer])[] = [
  [`hex:${bytes.toString('hex')}`, bytes],
  [`base64:${other.toString('base64')}`, other],
  [`base64:${other.toString('base64').replace('=', '')}`, other],
  [`base64:${other.toString('base64url')}=`, other],
  [`base64:${other.toString('base64url')}`, other],
  [`utf8:hex:${words}`, Buffer.from(`hex:${words}`)],
  [words, Buffer.from(words)],
  // As a file has it, and as two have it in a rotation.
  [`${words}\n`, Buffer.from(words)],
  [`hex:${bytes.toString('hex')}\r\n`, bytes],
  [`\n\tbase64:${other.toString('base64')}\n hex:${bytes.toString('hex')}`, other],
]
/** With these a program ends with an error. */
const wrong: readonly (readonly [string, string | undefined])[] = [
  ['unset', undefined],
  ['empty', ''],
  ['blank', ' \n'],
  ['31 bytes', `hex:${bytes.toString('hex', 1)}`],
  ['hex that is cut off', `hex:${bytes.toString('hex')}a`],
  ['no hex', `hex:${'z'.repeat(80)}`],
  ['no base64', `base64:${other.toString('base64url')}!${other.toString('base64url')}`],
]

const tricky = `a b+c&d=e;f%20g%zz#h/i?j\\k"l'm<n>ü😀~*(o)`
const ids = { userId: tricky, sessionId: `${tricky} session`, URLToken: `${tricky} of-an-Endpoint` }

const base = 'https://gateway.example'

/** The program under a heading. */
function source(name: string): string {
  const [, after = ''] = page.split(`\n### ${name}\n`)
  return /^```\w+.*?\n(.*?)^```$/ms.exec(after.split('\n### ')[0] ?? '')?.[1] ?? ''
}

/** Why a language cannot be run here; false where it can. In CI it has to be there. */
function missing(tool: string): string | false {
  const absent = spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0
  return absent && process.env['CI'] !== 'true' ? `${tool} is not installed` : false
}

/** What a program in this folder prints, for each of the secrets and for each that is wrong. */
async function links({ build, command }: Language, cwd: string) {
  const start = ([program, ...given]: Command, secret?: string) =>
    run(program, given, {
      cwd,
      env: {
        PATH: process.env['PATH'],
        // Arguments are UTF-8, and what is compiled goes where it is cleared away.
        LC_ALL: 'C.UTF-8',
        GOCACHE: `${cwd}/go`,
        ...(secret === undefined ? {} : { JWT_SECRET: secret }),
      },
    })
  if (build) await start(build)
  const whole: Command = [...command, base, ...Object.values(ids)]
  const printed: string[] = []
  for (const [secret] of secrets) {
    const { stdout, stderr } = await start(whole, secret)
    printed.push(stdout + stderr)
  }
  const refused: { readonly failed: boolean; readonly output: string }[] = []
  for (const [, secret] of wrong) {
    refused.push(
      await start(whole, secret).then(
        ({ stdout, stderr }) => ({ failed: false, output: stdout + stderr }),
        ({ stdout, stderr }) => ({ failed: true, output: stdout + stderr }),
      ),
    )
  }
  return { printed, refused }
}

t.test('links of every language', async (t) => {
  const cwd = t.testdir(Object.fromEntries(languages.map(({ name, file }) => [file, source(name)])))
  // All at once, and before there is a gateway: it would find the machine overloaded.
  const signed = await Promise.allSettled(
    languages.map(async (one) => {
      const skip = missing(one.tool)
      return { skip, ...(skip ? { printed: [], refused: [] } : await links(one, cwd)) }
    }),
  )
  const upstream = await startUpstream(t)
  const gateway = await startGateway(t, upstream.origin, {
    JWT_SECRET: secrets
      .filter(([, key], at) => secrets.findIndex(([, first]) => first.equals(key)) === at)
      .map(([text]) => text)
      .join(' '),
    REQUIRE_EXP: 'true',
    TOKEN_MAX_AGE: '1h',
  })
  know('secret', ids.URLToken)

  for (const [index, { name }] of languages.entries()) {
    const ran = signed[index]
    if (ran?.status !== 'fulfilled') {
      t.error(ran?.reason, name)
      continue
    }
    await t.test(name, { skip: ran.value.skip }, async (t) => {
      for (const [at, [text, key]] of secrets.entries()) {
        const printed = ran.value.printed[at] ?? ''
        t.match(printed, /^https:\/\/[!-~]+\n$/, JSON.stringify(text.slice(0, 8)))
        const { origin, pathname, search, searchParams } = new URL(printed.trim())
        t.equal(origin, base)
        const token = searchParams.get('auth') ?? ''
        const { payload, protectedHeader } = await jwtVerify(token, key, { algorithms: ['HS256'] })
        t.same(protectedHeader, { alg: 'HS256', typ: 'JWT' })
        t.match(payload, ids)
        t.equal(Number(payload.exp) - Number(payload.iat), 8 * 3600)

        t.equal((await ask(gateway.origin, pathname + search)).status, 200, 'it is let in')
        const seen = upstream.seen.find(({ url }) => url.includes(token))
        const query = new URL(seen?.url ?? '', origin).searchParams
        t.same(Object.fromEntries(query), { ...ids, auth: token }, 'the workspace gets the ids')
      }
      for (const [at, [what, secret = '']] of wrong.entries()) {
        const { failed, output } = ran.value.refused[at] ?? { failed: false, output: '' }
        t.ok(failed, what)
        t.notMatch(output, base, 'no link')
        t.match(output, /JWT_SECRET|secret_?bytes/i, 'it says what is wrong')
        const [, value = ''] = secret.split(':')
        t.notOk(value && output.includes(value.slice(0, 16)), 'and quotes nothing')
      }
    })
  }
})

t.test('every program of the page is run, but for that of C#', (t) => {
  const headings = [...page.matchAll(/^### (.+)\n+(?:[^`\n].*\n+)*^```/gm)].map(([, name]) => name)
  t.same(headings.sort(), [...languages.map(({ name }) => name), 'C#'].sort())
  t.end()
})

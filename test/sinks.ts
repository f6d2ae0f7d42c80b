// Where secrets could come out. All that a run's gateways log, print and refuse with is kept here,
// beside what must not be in it, and searched when the run is over.
import {
  createWriteStream,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeSync,
} from 'node:fs'
import { dirname, join, relative } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { chromiumMissing } from './browser/executable.ts'

/** `stderr`: problems, warnings, crashes. `refusals`: heads and bodies of the gateway's own. */
export type Sink = 'log' | 'stderr' | 'refusals'

const sinks: readonly Sink[] = ['log', 'stderr', 'refusals']

/** The variable that names the folder of a run; without it nothing is kept. */
export const folderVariable = 'TEST_SINKS'

const folder = process.env[folderVariable]
const tests = fileURLToPath(new URL('.', import.meta.url))
const files = new Map<string, number>()

/** Keeps what a gateway wrote, under the name of the test that made it. */
export function pour(sink: Sink, text: string): void {
  append(sink, text.endsWith('\n') ? text : `${text}\n`)
}

/** Keeps what the tests' own processes, and the gateways in them, print. */
export function keepStderr(stderr: Readable, folder: string): Promise<void> {
  mkdirSync(join(folder, 'stderr'))
  return pipeline(stderr, createWriteStream(join(folder, 'stderr', 'run')))
}

/** Keeps an answer, if it is a refusal of the gateway's own. */
export function pourAnswer(
  status: number,
  headers: Readonly<Record<string, unknown>>,
  body: string,
): void {
  const isOwn =
    headers['content-type'] === 'application/problem+json' || body.includes('data-request-id="')
  if (status >= 400 && isOwn) pour('refusals', `${status} ${JSON.stringify(headers)}\n${body}`)
}

/** Keeps the refusals in what came over a connection. */
export function pourAnswers(bytes: Buffer): void {
  if (folder === undefined) return
  for (const answer of bytes.toString('latin1').split(/(?=HTTP\/1\.1 \d{3} )/)) {
    const [, status, head = '', body = ''] =
      /^HTTP\/1\.1 (\d{3}) (.*?)\r\n\r\n(.*)$/s.exec(answer) ?? []
    const type = /^content-type: (.*)$/im.exec(head)?.[1]?.trim()
    pourAnswer(Number(status), { head, 'content-type': type }, body)
  }
}

/** Who somebody is, which the log alone may say; or what lets in, which nothing may. */
type Kind = 'id' | 'secret'

interface Known {
  readonly kind: Kind
  readonly value: string
}

const known = new Set<string>()

/** Names a text that must not come out; one that is too short to be told from others is let be. */
export function know(kind: Kind, value: string): void {
  const line = JSON.stringify({ kind, value } satisfies Known)
  if (value.length < 6 || known.has(line)) return
  known.add(line)
  append('known', `${line}\n`)
}

/** Names a secret in every way that it could be written. */
export function knowSecret(bytes: Buffer): void {
  for (const encoding of ['utf8', 'hex', 'base64', 'base64url'] as const) {
    know('secret', bytes.toString(encoding).replace(/=+$/, ''))
  }
}

/** Names the secrets among settings. */
export function knowSettings(env: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(env)) {
    if (!/_(?:SECRET|TOKENS?)$/.test(name)) continue
    for (const written of text.split(/\s+/)) {
      const [, encoding, encoded = ''] = /^(hex|base64):(.*)$/.exec(written) ?? []
      knowSecret(Buffer.from(written.replace(/^utf8:/, '')))
      if (encoding === 'hex' || encoding === 'base64') knowSecret(Buffer.from(encoded, encoding))
    }
  }
}

function append(what: Sink | 'known', text: string): void {
  if (folder === undefined) return
  const test = relative(tests, process.argv[1] ?? '')
  const path = join(folder, what, test.startsWith('..') ? 'elsewhere' : test)
  let file = files.get(path)
  if (file === undefined) {
    mkdirSync(dirname(path), { recursive: true })
    file = openSync(path, 'a')
    files.set(path, file)
  }
  writeSync(file, text)
}

/** What gives a secret away whatever its value is. */
const shapes: readonly (readonly [string, RegExp])[] = [
  ['a JWT or a part of one', /eyJ[\w-]{10}/],
  ['a session cookie', /__Host-copilot-[\w-]*=/i],
  ['a credential', /\b(?:bearer|basic) +(?!realm=)[\w+/~.-]{6}/i],
  ['a parameter of a link', /\b(?:auth|URLToken|copilotSession|userId|sessionId)=/i],
  ['a URL with a query', /https?:\/\/[^\s"'<>]*\?/i],
]

export interface Searched {
  /** How many texts were looked for, beside the shapes. */
  readonly texts: number
  /** By sink and folder of tests. */
  readonly read: readonly Read[]
  readonly faults: readonly string[]
}

interface Read {
  readonly place: string
  readonly lines: number
  readonly bytes: number
}

/** Sinks that are not empty after a whole run, unless something is wrong with how they are filled. */
const filled = [
  ...['http', 'websocket', 'process', 'security', 'demo'].map((tests) => `log/${tests}`),
  ...['http', 'websocket', 'demo'].map((tests) => `refusals/${tests}`),
  'stderr/process',
  ...(chromiumMissing ? [] : ['log/browser', 'refusals/browser']),
]

/** Searches the folder of a run; of a `whole` run no sink may be empty. */
export function searchSinks(folder: string, whole: boolean): Searched {
  const lines = [...new Set(filesOf(join(folder, 'known')).flatMap((file) => file.lines))]
  const texts = lines.filter(Boolean).map((line): Known => JSON.parse(line))
  const poured = sinks.flatMap((sink) =>
    filesOf(join(folder, sink)).map((file) => ({ ...file, sink })),
  )
  const read = new Map<string, Read>()
  for (const { sink, name, text, lines } of poured) {
    const place = `${sink}/${dirname(name)}`
    const before = read.get(place) ?? { lines: 0, bytes: 0 }
    const bytes = before.bytes + Buffer.byteLength(text)
    read.set(place, { place, lines: before.lines + lines.length - 1, bytes })
  }
  const empty = whole ? filled.filter((place) => !read.has(place)) : []
  return {
    texts: texts.length,
    read: [...read.values()],
    faults: [
      ...empty.map((place) => `${place} is empty`),
      ...poured.flatMap((file) => leaksOf(file, texts)),
    ],
  }
}

function leaksOf({ sink, name, text, lines }: File & { sink: Sink }, texts: readonly Known[]) {
  const leaks: (readonly [what: string, holds: (text: string) => boolean])[] = [
    ...shapesIn(name).map(([what, shape]) => [what, (text: string) => shape.test(text)] as const),
    ...texts
      .filter(({ kind }) => kind === 'secret' || sink !== 'log')
      .map(
        ({ kind, value }) =>
          [`the ${kind} ${JSON.stringify(value)}`, (text: string) => text.includes(value)] as const,
      ),
  ]
  return leaks
    .filter(([, holds]) => holds(text))
    .map(([what, holds]) => {
      const at = lines.findIndex(holds)
      return `${what} is in ${sink}/${name}, line ${at + 1}: ${lines[at]?.slice(0, 500)}`
    })
}

/** Fuzzed ids look like parameters, on purpose. */
function shapesIn(name: string): typeof shapes {
  return name.startsWith('fuzz/')
    ? shapes.filter(([what]) => what !== 'a parameter of a link')
    : shapes
}

interface File {
  readonly name: string
  readonly text: string
  readonly lines: readonly string[]
}

function filesOf(folder: string): File[] {
  mkdirSync(folder, { recursive: true })
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => {
      const path = join(parentPath, name)
      const text = readFileSync(path, 'utf8')
      return { name: relative(folder, path), text, lines: text.split('\n') }
    })
}

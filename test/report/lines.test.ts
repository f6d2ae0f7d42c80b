import { Readable } from 'node:stream'
import t from 'tap'
import { readLine } from '../../src/report/access-line.ts'
import { longestLine, readLines } from '../../src/report/lines.ts'
import { eight, line } from './log.ts'

async function linesOf(...chunks: readonly (string | Buffer)[]): Promise<(string | null)[]> {
  const lines: (string | null)[] = []
  await readLines(
    Readable.from(chunks.map((chunk) => (typeof chunk === 'string' ? Buffer.from(chunk) : chunk))),
    (one) => lines.push(one),
  )
  return lines
}

t.test('a stream is cut into lines', async (t) => {
  const umlaut = Buffer.from('ü')
  const long = 'x'.repeat(longestLine + 1)
  const rows: readonly (readonly [string, readonly (string | Buffer)[], (string | null)[]])[] = [
    ['none', [], []],
    ['an empty file', [''], []],
    ['two', ['a\nb\n'], ['a', 'b']],
    ['the last one needs no end', ['a\nb'], ['a', 'b']],
    ['empty lines are none', ['\n\na\r\n\r\n \n'], ['a\r']],
    ['one in several chunks', ['a', 'b', 'c\nd', '\n'], ['abc', 'd']],
    ['a character in two chunks', [umlaut.subarray(0, 1), umlaut.subarray(1), '\n'], ['ü']],
    ['a character cut off', ['a\n', umlaut.subarray(0, 1)], ['a']],
    ['the longest', [long.slice(1), '\na'], [long.slice(1), 'a']],
    ['one too long in one chunk', [`${long}\na`], [null, 'a']],
    ['one too long in many', ['b\n', ...Array(100).fill(long), 'x\na'], ['b', null, 'a']],
    ['one too long at the end', ['a\n', long], ['a', null]],
  ]
  for (const [name, chunks, expected] of rows) t.same(await linesOf(...chunks), expected, name)
})

t.test('a line longer than any text can be takes no memory', async (t) => {
  const chunk = Buffer.alloc(2 ** 26, 'x')
  t.same(await linesOf('a\n', ...Array(9).fill(chunk), '\nb'), ['a', null, 'b'])
})

t.test('a stream that breaks rejects, after the lines before', async (t) => {
  const lines: (string | null)[] = []
  const broken = Readable.from(
    (function* () {
      yield Buffer.from('a\nb\nc')
      throw new Error('broken')
    })(),
  )
  await t.rejects(
    readLines(broken, (one) => lines.push(one)),
    { message: 'broken' },
  )
  t.same(lines, ['a', 'b', 'c'])
})

t.test('lines of the gateway are found where they were collected', async (t) => {
  const own = line().trim()
  const wrapped = JSON.stringify({ log: `${own}\n`, stream: 'stdout', time: '2026-11-20T08:00Z' })
  const found = { time: eight, contactCenter: 'cc', requestId: 'request-1' }
  const rows: readonly (readonly [string, string, unknown])[] = [
    ['as it was written', own, found],
    ['with a byte order mark', `\uFEFF${own}`, found],
    ['with CRLF', `${own}\r`, found],
    ['CRI', `2026-11-20T08:00:00.123456789Z stdout F ${own}`, found],
    ['docker compose', `gateway-1  | ${own}`, found],
    ['docker compose in colour', `\u001b[36mgateway-1  | \u001b[0m${own}`, found],
    ['kubectl --prefix', `[pod/gateway-0/gateway] ${own}`, found],
    ['docker json-file', wrapped, found],
    ['docker json-file with a prefix', `gateway ${wrapped}`, found],
    ['another of its lines', '{"level":30,"time":1,"event":"listening"}', 'other'],
    ['text', 'Starting nginx', 'foreign'],
    ['JSON of another program', '{"msg":"event access"}', 'foreign'],
    ['a list', '[1]', 'foreign'],
    ['no object', 'x {"a":1}]', 'foreign'],
    ['null in json-file', '{"log":null}', 'foreign'],
    ['a wrapped text', '{"log":"Starting nginx\\n"}', 'foreign'],
    ['wrapped without end', `${'{"log":"'.repeat(50)}`, 'foreign'],
    ['no decision', line({ decision: 'maybe' }), 'foreign'],
    ['no time', line({ time: '2026' }), 'foreign'],
    ['a time past all', line({ time: 1e300 }), 'foreign'],
    ['a time before all', line({ time: -1 }), 'foreign'],
    ['the end is missing', own.slice(0, 150), 'cut'],
    ['little is there', own.slice(0, 12), 'cut'],
    ['the beginning is missing', own.slice(20), 'foreign'],
  ]
  for (const [name, text, expected] of rows) t.match(readLine(text), expected, name)
})

t.test('fields that are no text are not there', async (t) => {
  const odd = { contactCenter: 1, userId: {}, page: ['https://a.example'], ip: null, hint: false }
  const nothing = { contactCenter: null, userId: null, page: null, ip: null, detail: null }
  t.match(readLine(line(odd)), nothing)
  t.match(readLine(line({ hint: 'h', error: 'e' })), { detail: 'h' })
  t.match(readLine(line({ error: 'e' })), { detail: 'e' })
})

import fc from 'fast-check'
import t from 'tap'
import { auditLine } from '../../src/observe/audit-line.ts'
import { createLog } from '../../src/observe/log.ts'

const texts = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '',
    'agent-7',
    'a "quoted" \\ one',
    'línea\n2',
    '\u2028\u007f',
    '\ud800',
    '</script>',
  ),
)
const perhaps = fc.option(texts, { nil: undefined })
const lines = fc.record({
  event: fc.constant('access' as const),
  decision: fc.constantFrom('allow', 'deny'),
  reason: fc.constantFrom(undefined, 'token-missing'),
  status: fc.constantFrom(101, 200, 401),
  method: perhaps,
  path: perhaps,
  transport: fc.constantFrom('http', 'websocket'),
  socket: fc.constantFrom(undefined, 'open', 'close'),
  ended: fc.constantFrom(undefined, 'client', 'drain'),
  code: fc.constantFrom(undefined, 1008),
  error: perhaps,
  hint: perhaps,
  page: perhaps,
  contactCenter: perhaps,
  userId: perhaps,
  sessionId: perhaps,
  requestId: texts,
  ip: texts,
  durationMs: fc.nat(),
})

t.test('a line says what pino would make of it', (t) => {
  let written = ''
  const log = createLog('info', { write: (line) => (written = line) })
  fc.assert(
    fc.property(lines, (line) => {
      log.info(line)
      const { time } = JSON.parse(written)
      const own = auditLine(line, time)
      t.strictSame(JSON.parse(own), JSON.parse(written))
      t.match(own, /^[^\n]+\n$/)
    }),
  )
  t.end()
})

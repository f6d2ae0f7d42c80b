// Bad input is answered with each field that is wrong, and does nothing.
import t from 'tap'
import { formatUui } from '../../packages/copilot-link/src/uui.ts'
import { exchange, ids, jwt } from '../stage.ts'
import { basic, byIds, call, plainLink, startLinks } from './stage.ts'

const gateway = 'https://gateway.example'
const unit = 'must be a number and ms, s, m, h or d, such as 8h'
const { userId, sessionId } = byIds

t.test('each field that is wrong is named', async (t) => {
  const { origin } = await startLinks(t, gateway)
  const rows: readonly (readonly [string, unknown, ...(readonly [string, string | RegExp])[]])[] = [
    [
      'nothing',
      {},
      ['userId', 'is missing'],
      ['sessionId', 'is missing'],
      ['urlToken', 'is missing'],
    ],
    ['no URLToken', { userId, sessionId }, ['urlToken', 'is missing']],
    ['an empty id', { ...byIds, userId: '' }, ['userId', 'is empty']],
    ['a number', { ...byIds, sessionId: 5 }, ['sessionId', 'must be string']],
    ['null', { ...byIds, urlToken: null }, ['urlToken', 'must be string']],
    [
      'a long id',
      { ...byIds, userId: 'n'.repeat(513) },
      ['userId', 'has more than 512 characters'],
    ],
    [
      'a long id in a link',
      { url: `https://a.example/?userId=${'€'.repeat(513)}&sessionId=s&URLToken=t` },
      ['userId', 'has more than 512 characters'],
    ],
    [
      'a long id in a value',
      { uui: `X-User-ID: 7\nX-Session-ID: ${'n'.repeat(513)}`, urlToken: 't' },
      ['sessionId', 'has more than 512 characters'],
    ],
    [
      'a short link to a long one',
      { ...byIds, sessionId: '€'.repeat(200), short: true },
      ['sessionId', 'is too long to be kept: with the others over 600 bytes'],
    ],
    ['half a character', { ...byIds, userId: '\ud83d' }, ['userId', /half a character/]],
    ['a field in other capitals', { ...byIds, URLToken: 'x' }, ['URLToken', 'is not known here']],
    ['a field of the other route', { ...byIds, keepFor: '1h' }, ['keepFor', 'is not known here']],
    ['no unit', { ...byIds, expiresIn: '90' }, ['expiresIn', unit]],
    ['seconds', { ...byIds, expiresIn: 3600 }, ['expiresIn', 'must be string']],
    ['too short', { ...byIds, expiresIn: '999ms' }, ['expiresIn', 'must be 1s or more']],
    ['no time at all', { ...byIds, expiresIn: '0s' }, ['expiresIn', 'must be 1s or more']],
    ['too long', { ...byIds, expiresIn: '8d' }, ['expiresIn', 'must be 7d or less']],
    ['ids beside a link', { url: plainLink, userId }, ['userId', 'has no place beside url']],
    [
      'a link beside a value',
      { url: plainLink, uui: plainLink },
      ['uui', 'has no place beside url'],
    ],
    ['no link', { url: 'agent-7' }, ['url', /no http or https URL/]],
    ['half a link', { url: 'https://a.example/?userId=7' }, ['url', /no sessionId, URLToken/]],
    ['an id twice', { url: `${plainLink}&userId=8` }, ['url', /^userId is there twice/]],
    ['a signed link', { url: `${plainLink}&auth=${jwt()}` }, ['url', /auth already/]],
    [
      'a short link',
      { url: `https://a.example/o/${'A'.repeat(22)}` },
      ['url', /short link already/],
    ],
    ['no value', { uui: 'hello' }, ['uui', /no http or https URL/]],
    ['a value cut off', { uui: formatUui(plainLink).slice(0, 60) }, ['uui', /no .*cut off/]],
    [
      'SIPREC without a URLToken',
      { uui: `X-User-ID: 7\nX-Session-ID: ${ids.sessionId}` },
      ['urlToken', 'is missing, and the value names none'],
    ],
    [
      'a value of another URLToken',
      { uui: plainLink, urlToken: '9c2b17aa' },
      ['urlToken', 'is not the one that the value names'],
    ],
    ['a text for short', { ...byIds, short: 'yes' }, ['short', 'must be boolean or object']],
    ['no use', { ...byIds, short: { uses: 0 } }, ['short.uses', 'must be 1 or more']],
    ['too many', { ...byIds, short: { uses: 101 } }, ['short.uses', 'must be 100 or less']],
    ['half a use', { ...byIds, short: { uses: 1.5 } }, ['short.uses', 'must be integer']],
    ['a strange one', { ...byIds, short: { use: 1 } }, ['short.use', 'is not known here']],
    [
      'short for long',
      { ...byIds, short: { expiresIn: '8d' } },
      ['short.expiresIn', 'must be 7d or less'],
    ],
    ['a list', [byIds], ['', 'must be object']],
    ['a text', '"x"', ['', 'must be object']],
    ['no JSON', '{', ['', 'is not JSON']],
    ['nothing at all', '', ['', 'is not JSON']],
    [
      'a field twice',
      JSON.stringify(byIds).replace('{', '{"userId":"agent-8",'),
      ['userId', 'is there twice'],
    ],
    [
      'a field twice, spelled otherwise',
      JSON.stringify({ ...byIds, short: { uses: 1 } }).replace('"uses"', '"u\\u0073es":2,"uses"'),
      ['uses', 'is there twice'],
    ],
    [
      'a prototype',
      { ...byIds, ['__proto__']: { userId: '8' } },
      ['__proto__', 'is not known here'],
    ],
    ['a constructor', { ...byIds, constructor: {} }, ['constructor', 'is not known here']],
  ]
  for (const [name, body, ...faults] of rows) {
    const { status, headers, body: text } = await call(origin, '/links', body)
    t.equal(status, 400, name)
    t.equal(headers['content-type'], 'application/problem+json', name)
    const { requestId, errors, ...problem } = JSON.parse(text)
    t.same(problem, { type: 'about:blank', title: 'Bad Request', status: 400 }, name)
    t.equal(requestId, headers['x-request-id'])
    t.match(
      errors,
      faults.map(([field, problem]) => ({ field, problem })),
      name,
    )
    t.equal(errors.length, faults.length, name)
  }
  const many = Object.fromEntries(Array.from({ length: 900 }, (_, i) => [`f${i}`, 1]))
  const { body } = await call(origin, '/links', { ...many, ['n'.repeat(900)]: 1 })
  t.equal(JSON.parse(body).errors.length, 20, 'of a thousand the first')
  const long = await call(origin, '/links', { ['n'.repeat(900)]: 1, ...byIds })
  t.match(JSON.parse(long.body).errors, [{ field: 'n'.repeat(64), problem: 'is not known here' }])
})

t.test('conversations are named as exactly', async (t) => {
  const { origin, told } = await startLinks(t, gateway)
  const path = (id: string): string => `/links/by-conversation/${id}`
  for (const [name, target, body, status, ...faults] of [
    ['too long an id', path('x'.repeat(257)), byIds, 400, 'conversationId'],
    ['a broken id', path('%zz'), byIds, 400, 'path'],
    ['no UTF-8', path('%ff'), byIds, 400, 'path'],
    ['no id', path(''), byIds, 400, 'conversationId'],
    ['an id of two segments', path('a/b'), byIds, 404],
    ['a short one', path('a'), { ...byIds, short: true }, 400, 'short'],
    ['no time', path('a'), { ...byIds, keepFor: '1' }, 400, 'keepFor'],
    ['too long a time', path('a'), { ...byIds, keepFor: '8d' }, 400, 'keepFor'],
    ['too long a link', path('a'), { ...byIds, expiresIn: '8d' }, 400, 'expiresIn'],
    ['too long to be kept', path('a'), { ...byIds, userId: '€'.repeat(200) }, 400, 'userId'],
    ['half a character', path('a'), { ...byIds, userId: '\ud83d' }, 400, 'userId'],
  ] as const) {
    const { status: got, body: text } = await call(origin, target, body, { method: 'PUT' })
    t.equal(got, status, name)
    const { errors = [] } = JSON.parse(text)
    t.same(
      errors.map(({ field }: { field: string }) => field),
      faults,
      name,
    )
  }
  t.equal((await call(origin, path('a'), undefined)).status, 404, 'nothing was kept')
  const lines = await told(12)
  t.notMatch(JSON.stringify(lines), 'by-conversation', 'and no line has the id')
})

t.test('only JSON of 16 kB is read, of one Host and a path that can be read', async (t) => {
  const { origin } = await startLinks(t, gateway)
  const port = Number(new URL(origin).port)
  for (const [name, type, text, status] of [
    ['text', 'text/plain', JSON.stringify(byIds), 415],
    ['a form', 'application/x-www-form-urlencoded', `userId=${userId}`, 415],
    ['no type', undefined, JSON.stringify(byIds), 415],
    ['JSON of some kind', 'application/merge-patch+json', JSON.stringify(byIds), 415],
    ['JSON with a charset', 'application/json; charset=utf-8', JSON.stringify(byIds), 200],
    ['16 kB and more', 'application/json', JSON.stringify({ url: 'x'.repeat(16 * 1024) }), 413],
  ] as const) {
    const headers = { ...basic(), ...(type === undefined ? {} : { 'Content-Type': type }) }
    const answer = await call(origin, '/links', text, {
      headers: { 'Content-Type': '', ...headers },
    })
    t.equal(answer.status, status, `${name}: ${answer.body}`)
  }
  const once = 'must be there once'
  const none = 'is no host and port'
  for (const [name, lines, problem] of [
    ['no Host', [], once],
    ['two Hosts', ['Host: a.example', 'Host: b.example'], once],
    ['a Host that is none', ['Host: a.example/b'], none],
    ['a port that is none', ['Host: a.example:99999'], none],
    ['an address that is none', ['Host: [1::2::3]'], none],
  ] as const) {
    const text = JSON.stringify({ ...byIds, short: true })
    const length = `Content-Length: ${text.length}`
    const own = [
      `Authorization: ${basic().Authorization}`,
      'Content-Type: application/json',
      length,
    ]
    const head = ['POST /links HTTP/1.1', ...lines, ...own, 'Connection: close', '\r\n']
    const answer = await exchange(port, head.join('\r\n') + text)
    t.equal(answer.slice(0, 12), 'HTTP/1.1 400', name)
    t.match(answer, `"errors":[{"field":"Host","problem":"${problem}"}]`, name)
  }
  for (const [target, problem] of [
    [`/o/${'a'.repeat(5000)}`, 'is too long'],
    ['/o/%zz', 'is not percent-encoded as it should be'],
  ] as const) {
    const { errors } = JSON.parse((await call(origin, target, undefined)).body)
    t.same(errors, [{ field: 'path', problem }])
  }
})

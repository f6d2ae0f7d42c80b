import t from 'tap'
import { readLine } from '../../src/report/access-line.ts'
import { createSurvey, type Survey } from '../../src/report/survey.ts'
import { eight, forged, line } from './log.ts'

type Changes = Readonly<Record<string, unknown>>

function surveyOf(...lines: readonly Changes[]): Survey {
  const survey = createSurvey()
  for (const changes of lines) {
    const read = readLine(line(changes))
    if (typeof read === 'string') throw new Error(read)
    survey.take(read)
  }
  return survey.end()
}

/** Integrations, requests and users; causes as effect, reason and requests. */
function inShort({ total, reported, refused, causes }: Survey) {
  const short = ({ integrations, requests, users }: Survey['total']): number[] => [
    integrations.count,
    requests,
    users.count,
  ]
  return {
    total: short(total),
    reported: short(reported),
    refused: short(refused),
    causes: causes.map(({ effect, reason, requests }) => `${effect} ${reason} ${requests}`),
  }
}

const none = [0, 0, 0]
const denied = { decision: 'deny', status: 403 }
const open = { transport: 'websocket', status: 101, socket: 'open' }
const closed = { ...open, socket: 'close', ended: 'client' }

t.test('what is counted, and as what', async (t) => {
  const rows: readonly (readonly [string, readonly Changes[], ReturnType<typeof inShort>])[] = [
    ['what passes', [{}, {}], { total: [1, 2, 1], reported: none, refused: none, causes: [] }],
    [
      'what report mode let through',
      [{}, forged],
      {
        total: [2, 2, 1],
        reported: [1, 1, 0],
        refused: none,
        causes: ['reported token-invalid 1'],
      },
    ],
    [
      'what was refused',
      [{ ...denied, reason: 'claim-mismatch' }],
      {
        total: [1, 1, 1],
        reported: none,
        refused: [1, 1, 1],
        causes: ['refused claim-mismatch 1'],
      },
    ],
    [
      'pages and contact centers are integrations, reasons are not',
      [
        { reason: 'claim-mismatch', page: 'https://a.example' },
        { reason: 'token-expired', page: 'https://a.example' },
        { reason: 'token-expired', page: 'https://b.example' },
        { reason: 'token-expired', page: 'https://b.example', contactCenter: 'other' },
      ],
      {
        total: [3, 4, 1],
        reported: [3, 4, 1],
        refused: none,
        causes: [
          'reported claim-mismatch 1',
          'reported token-expired 1',
          'reported token-expired 1',
          'reported token-expired 1',
        ],
      },
    ],
    [
      'a socket is one request',
      [open, closed],
      { total: [1, 1, 1], reported: none, refused: none, causes: [] },
    ],
    [
      'a socket whose upgrade was reported is reported once',
      [
        { ...forged, ...open },
        { ...forged, ...closed },
      ],
      {
        total: [1, 1, 0],
        reported: [1, 1, 0],
        refused: none,
        causes: ['reported token-invalid 1'],
      },
    ],
    [
      'a mismatch that was reported when its socket closed',
      [open, { ...closed, reason: 'session-mismatch', error: 'foreign-event' }],
      {
        total: [1, 1, 1],
        reported: [1, 1, 1],
        refused: none,
        causes: ['reported session-mismatch 1'],
      },
    ],
    [
      'a socket closed for a mismatch',
      [open, { ...closed, ended: 'session-mismatch', code: 1008, error: 'foreign-event' }],
      {
        total: [1, 1, 1],
        reported: none,
        refused: [1, 1, 1],
        causes: ['refused session-mismatch 1'],
      },
    ],
    [
      'what report mode would refuse stands before what is refused, and most before little',
      [
        ...Array(3).fill({ ...denied, reason: 'origin-refused' }),
        { reason: 'token-expired' },
        ...Array(2).fill(forged),
      ],
      {
        total: [2, 6, 1],
        reported: [2, 3, 1],
        refused: [1, 3, 1],
        causes: [
          'reported token-invalid 2',
          'reported token-expired 1',
          'refused origin-refused 3',
        ],
      },
    ],
  ]
  for (const [name, lines, expected] of rows) t.same(inShort(surveyOf(...lines)), expected, name)
})

t.test('a cause says who, where, how much and when', async (t) => {
  const { causes, first, last } = surveyOf(
    { time: eight - 1 },
    { ...forged, time: eight + 60_000, ip: '192.0.2.2' },
    { ...forged, time: eight, requestId: 'request-3' },
    { ...forged, time: eight + 120_000, reason: 'token-missing', hint: undefined },
    { reason: 'upstream-unreachable', ...denied, status: 502, error: 'ECONNREFUSED' },
  )
  t.same([first, last], [eight - 1, eight + 120_000])
  t.match(causes, [
    {
      effect: 'reported',
      contactCenter: null,
      page: 'https://old.example',
      reason: 'token-invalid',
      detail: 'no secret or key verifies the token',
      requests: 2,
      share: 2 / 3,
      users: { count: 0, exact: true },
      addresses: { count: 2, exact: true },
      first: eight,
      last: eight + 60_000,
      requestId: 'request-2',
    },
    { reason: 'token-missing', detail: null, share: 1 / 3, follows: false },
    { contactCenter: 'cc', page: null, detail: 'ECONNREFUSED', share: 1 / 2 },
  ])
})

t.test('what only follows from a refused link stands behind it', async (t) => {
  const { page, ...unpaged } = forged
  const follower = { ...unpaged, hint: undefined, reason: 'token-missing' }
  const followed = surveyOf(follower, follower, { ...follower, page }, forged)
  t.same(
    followed.causes.map(({ reason, page, follows }) => [reason, page, follows]),
    [
      ['token-missing', page, false],
      ['token-invalid', page, false],
      ['token-missing', null, true],
    ],
  )
  const alone = surveyOf(follower, { ...denied, reason: 'origin-refused' })
  t.same(
    alone.causes.map(({ follows }) => follows),
    [false, false],
    'nothing that it could follow from',
  )
})

t.test('counts are exact up to a bound, and say so past it', async (t) => {
  const users = (count: number) =>
    surveyOf(
      ...Array.from({ length: count }, (_, i) => ({ reason: 'token-expired', userId: `${i}` })),
    )
  t.same(users(10_000).causes[0]?.users, { count: 10_000, exact: true })
  t.same(users(10_001).causes[0]?.users, { count: 10_000, exact: false })
  const long = (end: string) => ({ reason: 'token-expired', userId: `${'x'.repeat(5000)}${end}` })
  t.equal(surveyOf(long('1'), long('2'), long('1')).causes[0]?.users.count, 2)
})

t.test('pages without end are counted together, in the same memory', async (t) => {
  const { causes, reported } = surveyOf(
    ...Array.from({ length: 2000 }, (_, i) => ({ ...forged, page: `https://${i}.example` })),
    { ...denied, reason: 'origin-refused' },
  )
  t.equal(causes.length, 502)
  const others = causes.filter(({ reason }) => reason === null)
  t.match(others, [
    { effect: 'reported', requests: 1500, share: null },
    { effect: 'refused', requests: 1, share: null },
  ])
  t.equal(reported.requests, 2000)
  t.same(reported.integrations, { count: 2000, exact: true })
})

t.test('all the texts that a report keeps have one bound', async (t) => {
  const survey = createSurvey()
  for (let page = 0; page < 100; page += 1) {
    for (let user = 0; user < 6000; user += 1) {
      survey.take({
        time: eight,
        decision: 'allow',
        reason: 'token-expired',
        detail: null,
        socket: null,
        ended: null,
        contactCenter: 'cc',
        page: `https://${page}.example`,
        userId: `agent-${user}`,
        sessionId: null,
        requestId: null,
        ip: null,
      })
    }
  }
  const kept = survey.end().causes.reduce((sum, { users }) => sum + users.count, 0)
  t.ok(kept < 500_000, `${kept}`)
  t.ok(kept > 480_000, 'and uses it')
})

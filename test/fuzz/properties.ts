// The properties that are played over sockets.
import fc from 'fast-check'
import { jwt } from '../stage.ts'
import { verdictOf } from './promises.ts'
import { property } from './property.ts'
import { bytesOf, extra, type Identity, identity, type Played, requests } from './requests.ts'
import { type Line, startWire, valuesOf, type Wire } from './wire.ts'

const plain = { basePath: '', forwardAuth: true, identityHeaders: false } as const
const other = { basePath: '/base', forwardAuth: false, identityHeaders: true } as const

export const forwarded = property(
  {
    name: 'forwarded',
    promise:
      'what is let in reaches the workspace as it was checked, and every parser reads it alike',
    runs: 1500,
    allowed: 0.2,
  },
  async (scope) => {
    const wires = [await startWire(scope, plain), await startWire(scope, other)]
    return {
      cases: fc.tuple(await requests(), fc.constantFrom(...wires.keys())),
      examples: onceFailing.flatMap((played) =>
        [...wires.keys()].map((i): [Played, number] => [played, i]),
      ),
      judge: ([played, i]: [Played, number]) => play(played, chosen(wires, i)),
    }
  },
)

export const upgraded = property(
  {
    name: 'upgraded',
    promise: 'an upgrade gets the verdict of a request, and that of a foreign origin is refused',
    runs: 500,
    allowed: 0.2,
  },
  async (scope) => {
    const wires = [await startWire(scope, plain), await startWire(scope, other)]
    return {
      cases: fc.tuple(await requests(), fc.constantFrom(...wires.keys())),
      examples: onceFailing.map((played): [Played, number] => [played, 0]),
      async judge([any, i]: [Played, number]) {
        const wire = chosen(wires, i)
        const request = await play(bare(any, ['Sec-Fetch-Site', 'same-origin']), wire)
        const upgrade = await play(bare(any, ['Origin', 'http://{host}'], ...handshake), wire)
        const foreign = await play(
          bare(any, ['Origin', 'https://evil.example'], ...handshake),
          wire,
        )
        const verdicts = [request, upgrade, foreign]
        if (verdicts.includes('overloaded')) return 'overloaded'
        const early = ['target-invalid', 'query-ambiguous', 'request-malformed']
        const expected = early.includes(request) ? request : 'origin-refused'
        // A poll that another protocol reads differently is refused; over frames all speak alike.
        const alike = request === 'session-mismatch' ? 'allow' : request
        if (upgrade !== alike || foreign !== expected) throw new Error(`differ: ${verdicts}`)
        return upgrade
      },
    }
  },
)

export const honest = property(
  {
    name: 'honest',
    promise:
      'a link made by the book is let in and read as it was meant, and so is what its page loads',
    runs: 500,
    allowed: 1,
  },
  async (scope) => {
    const wire = await startWire(scope, other)
    return {
      cases: links,
      examples: [],
      async judge({ ids, target }: Link) {
        const opened = await letIn(wire, ids, target, ['Sec-Fetch-Mode', 'navigate'])
        if (opened === null) return 'overloaded'
        const cookie = opened.split(';', 1)[0] ?? ''
        const own = ['Sec-Fetch-Site', 'same-origin'] as const
        await letIn(wire, ids, '/assets/index-1.js', own, ['Cookie', `theme=dark; ${cookie}`])
        return 'allow'
      },
    }
  },
)

async function play(played: Played, wire: Wire): Promise<string> {
  return verdictOf(played, await wire.send(bytesOf(played, wire.host)), wire)
}

function chosen(wires: readonly Wire[], index: number): Wire {
  const wire = wires[index]
  if (wire === undefined) throw new Error('no such wire')
  return wire
}

/** The request without what makes it anything but a GET, or says where it comes from. */
function bare({ target, lines, proven }: Played, ...more: readonly Line[]): Played {
  const dropped = /^(?:connection|upgrade|expect|content-length|origin|sec-.*)$/i
  const kept = lines.filter(([name]) => !dropped.test(name))
  return { method: 'GET', target, lines: [...kept, ...more], body: '', proven }
}

const handshake: readonly Line[] = [
  ['Connection', 'Upgrade'],
  ['Upgrade', 'websocket'],
  ['Sec-WebSocket-Version', '13'],
  ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
]

interface Link {
  readonly ids: Identity
  readonly target: string
}

const segment = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 6 })
  .filter((text) => !/^\.\.?(?:;|$)|[%/\\\p{Cc}]/u.test(text))

const links: fc.Arbitrary<Link> = fc
  .record({
    ids: identity,
    extras: fc.array(extra, { maxLength: 6 }),
    at: fc.nat(6),
    segments: fc.array(segment, { maxLength: 3 }),
    asForm: fc.boolean(),
    binds: fc.boolean(),
    asNumber: fc.boolean(),
  })
  .map(({ ids, extras, at, segments, asForm, binds, asNumber }) => {
    // Contact centers number their agents, and sign the number or its text.
    const userId = asNumber && ids.userId === '7' ? 7 : ids.userId
    const claims = { userId, sessionId: ids.sessionId, exp: Date.UTC(2100, 0, 1) / 1000 }
    const auth = jwt(binds ? { ...claims, URLToken: ids.URLToken } : claims)
    const pairs = extras.toSpliced(at, 0, ...Object.entries({ ...ids, auth }))
    const query = asForm
      ? new URLSearchParams(pairs)
      : pairs.map((pair) => pair.map((text) => encodeURIComponent(text)).join('=')).join('&')
    return { ids, target: `/${segments.map(encodeURIComponent).join('/')}?${query}` }
  })

/** The cookie that comes with the answer; null where the machine is too busy for a new session. */
async function letIn(
  wire: Wire,
  ids: Identity,
  target: string,
  ...more: readonly Line[]
): Promise<string | null> {
  const lines = [['Host', '{host}'] as const, ...more]
  const played = { method: 'GET', target, lines, body: '', proven: [ids] }
  const exchanged = await wire.send(bytesOf(played, wire.host))
  const verdict = verdictOf(played, exchanged, wire)
  if (verdict === 'overloaded') return null
  if (verdict !== 'allow' || exchanged.arrived === null) throw new Error(`${verdict}: ${target}`)
  const { headers } = exchanged.arrived
  const [userId, sessionId] = [headers['x-copilot-user-id'], headers['x-copilot-session-id']]
  const said = [userId, sessionId].map((value) => decodeURIComponent(String(value)))
  if (said[0] !== ids.userId || said[1] !== ids.sessionId) throw new Error(`identity ${said}`)
  return valuesOf(exchanged.lines, 'set-cookie').join()
}

/** What only one rule each keeps out: targets of an agent who would rather be another one. */
const onceFailing: readonly Played[] = (() => {
  const ids = { userId: 'a]=b', sessionId: 'session-1', URLToken: null }
  const auth = jwt({ userId: ids.userId, sessionId: ids.sessionId })
  const query = `userId=a%5D%3Db&sessionId=session-1&URLToken=T&auth=${auth}`
  const targets = [
    `/?${query}`,
    `/#${query}&x=?userId=VICTIM`,
    `/?${query.replace('a%5D%3Db', 'a]=b')}`,
    ...[';userId', 'x;userId', 'userId[]', '[userId]x', 'userId%00', 'UserId', '%75serId'].map(
      (name) => `/?${query}&${name}=VICTIM`,
    ),
    `/?${query}&user%C4%B1d=VICTIM`,
    `/..;/a?${query}`,
    `/%252e%252e/a?${query}`,
    `/%73ocket.io/?${query}`,
  ]
  const lines: readonly Line[] = [
    ['Host', '{host}'],
    ['Connection', 'X-Forwarded-For, X_Request_Id'],
    ['X_Forwarded_For', 'VICTIM'],
    ['X-Copilot-User-Id', 'VICTIM'],
    ['Cookie', 'a=b; __host-copilot-x=y'],
    ['Origin', 'null'],
    ['Origin', 'http://{host}'],
  ]
  const another = jwt({ userId: 'agent-7', sessionId: 'session-1' })
  return [
    ...targets.map((target) => ({ target, lines })),
    { target: `/?${query}`, lines: [...lines, ['Authorization', `Bearer\t${another}`] as const] },
  ].map((one) => ({ ...one, method: 'GET', body: '', proven: [ids] }))
})()

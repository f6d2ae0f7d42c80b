// No false refusals: what a contact center makes of any ids, by the book, is let in.
import fc from 'fast-check'
import { decide } from '../../src/access/access.ts'
import { createGate, jwt } from '../stage.ts'
import { isSecured, readByAll } from './promises.ts'
import { property } from './property.ts'
import { extraName, factsOf, type Identity, id, identity, type Played } from './requests.ts'
import { type Exchanged, type Line, startWire, valuesOf, type Wire } from './wire.ts'

interface Link {
  readonly ids: Identity
  readonly path: string
  readonly query: string
}

/** Folded as the contract says; and what begins or nests like one of ours is nobody's extra. */
const resembling = /userid|sessionid|urltoken|auth|copilotsession/
const folded = (name: string): string =>
  name.normalize('NFKC').toUpperCase().toLowerCase().replace(/[^\p{L}\p{N}]/gu, '')

const anyName = fc.oneof(
  extraName,
  fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 8 })
    .filter((name) => !resembling.test(folded(name))),
)

const extras = fc.array(fc.tuple(anyName, fc.oneof(id, fc.constant(''))), { maxLength: 8 })

const segment = fc
  .oneof(
    fc.stringMatching(/^[\w.~!$'()*,:@+-]{1,8}$/),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 4 }),
  )
  .filter((text) => !/^\.\.?$|[%/\\\p{Cc}]/u.test(text))

/** Either of the two ways in which links are written. */
const writers = [
  (pairs: readonly (readonly [string, string])[]) =>
    new URLSearchParams(pairs.map(([name, value]) => [name, value])).toString(),
  (pairs: readonly (readonly [string, string])[]) =>
    pairs.map((pair) => pair.map(encodeURIComponent).join('=')).join('&'),
] as const

/** Contact centers number their agents, and sign the number or its text. */
function claimOf(text: string, asNumber: boolean): string | number {
  const value = Number(text)
  return asNumber && Number.isSafeInteger(value) && String(value) === text ? value : text
}

const links: fc.Arbitrary<Link> = fc
  .record({
    ids: identity,
    extras,
    at: fc.nat(8),
    segments: fc.array(segment, { maxLength: 3 }),
    write: fc.constantFrom(...writers),
    binds: fc.boolean(),
    asNumber: fc.boolean(),
  })
  .map(({ ids, extras, at, segments, write, binds, asNumber }) => {
    const { userId, sessionId, URLToken } = ids
    const auth = jwt({
      userId: claimOf(userId, asNumber),
      sessionId: claimOf(sessionId, asNumber),
      ...(binds ? { URLToken } : {}),
      exp: 4_102_444_800,
    })
    const pairs = extras.toSpliced(
      at,
      0,
      ['userId', userId],
      ['sessionId', sessionId],
      ['URLToken', URLToken],
      ['auth', auth],
    )
    return { ids, path: `/${segments.map(encodeURIComponent).join('/')}`, query: write(pairs) }
  })

const navigation: readonly Line[] = [
  ['Sec-Fetch-Site', 'cross-site'],
  ['Sec-Fetch-Mode', 'navigate'],
  ['Sec-Fetch-Dest', 'iframe'],
]
const ofItsPage: readonly Line[] = [['Sec-Fetch-Site', 'same-origin']]

function get(target: string, lines: readonly Line[]): Played {
  return {
    method: 'GET',
    target,
    version: 'HTTP/1.1',
    lines: [['Host', '{host}'], ...lines],
    body: '',
    carried: [],
  }
}

export const linkDecided = property(
  'link-decided',
  'an honest link is let in, whatever its ids and extras',
  2000,
  async () => {
    const gate = await createGate()
    const now = Date.UTC(2026, 5, 1)
    return {
      cases: links,
      judge({ ids, path, query }) {
        const link = decide(factsOf(get(`${path}?${query}`, navigation), false), gate, now)
        if (!link.allow) throw new Error(`refused: ${link.reason}`)
        if (link.query !== query) throw new Error(`${link.query} goes on`)
        const named = readByAll(query, [ids])
        if (Object.keys(named).length < 3) throw new Error(`${JSON.stringify(named)} is read`)
        const [cookie = ''] = link.setCookies
        const lines = [...ofItsPage, ['Cookie', cookie.split(';', 1)[0] ?? ''] as const]
        for (const target of ['/assets/index-1.js', `${path}?${withoutAuth(query)}`]) {
          const script = decide(factsOf(get(target, lines), false), gate, now)
          if (!script.allow) throw new Error(`${target} by its cookie refused: ${script.reason}`)
        }
        return 'allow'
      },
    }
  },
)

function withoutAuth(query: string): string {
  return query
    .split('&')
    .filter((piece) => !piece.startsWith('auth='))
    .join('&')
}

export const linkForwarded = property(
  'link-forwarded',
  'an honest link reaches the workspace as it is, and so does what its page loads',
  150,
  async (scope) => {
    const wire = await startWire(scope, '', { IDENTITY_HEADERS: 'true' })
    return {
      cases: links,
      async judge({ ids, path, query }) {
        const target = `${path}?${query}`
        const lines = await letIn(wire, target, navigation)
        identifies(lines.forwarded, ids)
        const [cookie = ''] = valuesOf(lines.answered, 'set-cookie')
        const jar: Line = ['Cookie', `theme=dark; ${cookie.split(';', 1)[0]}`]
        const script = await letIn(wire, '/assets/index-1.js', [...ofItsPage, jar])
        identifies(script.forwarded, ids)
        if (String(valuesOf(script.forwarded, 'cookie')) !== 'theme=dark') {
          throw new Error(`cookies ${valuesOf(script.forwarded, 'cookie')}`)
        }
        return 'allow'
      },
    }
  },
)

async function letIn(
  wire: Wire,
  target: string,
  more: readonly Line[],
): Promise<{ readonly forwarded: readonly Line[]; readonly answered: readonly Line[] }> {
  const { answers, arrived, audit } = await send(wire, target, more)
  const [answer] = answers
  const [request] = arrived
  const [line] = audit
  if (!answer || !request || !line || arrived.length > 1) {
    throw new Error(`${target}: ${JSON.stringify({ answers, arrived, audit })}`)
  }
  isSecured(answer, line, true)
  if (request.target !== target) throw new Error(`${request.target} arrived for ${target}`)
  return { forwarded: request.lines, answered: answer.lines }
}

/** A new session has to wait while the machine is busy; that is no refusal of the link. */
async function send(wire: Wire, target: string, more: readonly Line[]): Promise<Exchanged> {
  const lines = [`Host: ${wire.host}`, ...more.map((line) => line.join(': ')), 'Connection: close']
  for (let tries = 0; ; tries += 1) {
    const exchanged = await wire.send(`GET ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
    if (exchanged.audit[0]?.['reason'] !== 'overloaded' || tries === 20) return exchanged
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
}

function identifies(lines: readonly Line[], { userId, sessionId }: Identity): void {
  const said = ['x-copilot-user-id', 'x-copilot-session-id'].map((name) =>
    valuesOf(lines, name).map(decodeURIComponent),
  )
  if (JSON.stringify(said) !== JSON.stringify([[userId], [sessionId]])) {
    throw new Error(`identity ${JSON.stringify(said)}`)
  }
}

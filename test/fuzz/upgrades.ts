// One decision guards both: the same bytes get the same verdict, as a request and as an upgrade.
import fc from 'fast-check'
import { decide } from '../../src/access/access.ts'
import { isSessionCookie } from '../../src/access/session.ts'
import { createGate } from '../stage.ts'
import { isSecured } from './promises.ts'
import { property } from './property.ts'
import { bytesOf, factsOf, keyOf, type Played, requests } from './requests.ts'
import { type Line, startWire } from './wire.ts'

const now = Date.UTC(2026, 5, 1)
const origins = ['own', 'none', 'another'] as const
type From = (typeof origins)[number]

interface Verdict {
  readonly allow: boolean
  readonly reason: string | null
  readonly subject: string
}

/** The request without what says where it comes from, or makes it something else than a GET. */
function bare({ lines, ...played }: Played): Played {
  const dropped =
    /^(?:connection|upgrade|expect|transfer-encoding|content-length|origin|sec-fetch-.*|sec-websocket-.*)$/i
  return {
    ...played,
    method: 'GET',
    version: 'HTTP/1.1',
    body: '',
    lines: lines.filter(([name]) => !dropped.test(name)),
  }
}

function withLines(played: Played, ...more: readonly Line[]): Played {
  return { ...played, lines: [...played.lines, ...more] }
}

const handshake: readonly Line[] = [
  ['Connection', 'Upgrade'],
  ['Upgrade', 'websocket'],
  ['Sec-WebSocket-Version', '13'],
  ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
]

function originOf(from: From): readonly Line[] {
  if (from === 'none') return []
  return [['Origin', from === 'own' ? 'http://{host}' : 'https://evil.example']]
}

/** CONTRACT §1, origin: all in which the two may differ. `request` came from the own page. */
function compare(played: Played, from: From, request: Verdict, upgrade: Verdict): string {
  const said = JSON.stringify({ from, request, upgrade })
  const early = ['target-invalid', 'query-ambiguous', 'request-malformed']
  const isEarly = request.reason !== null && early.includes(request.reason)
  const refused = upgrade.reason === 'origin-refused'
  if (isEarly || !refused) {
    if (JSON.stringify(request) !== JSON.stringify(upgrade)) throw new Error(`differ: ${said}`)
    if (!isEarly && from === 'another') throw new Error(`another origin passes: ${said}`)
    return upgrade.reason ?? 'allow'
  }
  const cookies = played.lines
    .filter(([name]) => /^cookie$/i.test(name))
    .flatMap(([, value]) => value.split(';'))
    .some((pair) => isSessionCookie(pair.trim()))
  if (from === 'own' || (from === 'none' && !cookies)) throw new Error(`refused: ${said}`)
  return 'origin-refused'
}

export const upgradesDecided = property(
  'upgrades-decided',
  'an upgrade gets the verdict of a request, but for its origin',
  3000,
  async () => {
    const gate = await createGate()
    const verdictOf = (played: Played, upgrade: boolean): Verdict => {
      const decision = decide(factsOf(played, upgrade), gate, now)
      const { userId, sessionId } = decision.subject
      const subject = upgrade && !decision.allow ? '' : JSON.stringify([userId, sessionId])
      return { allow: decision.allow, reason: decision.allow ? null : decision.reason, subject }
    }
    return {
      cases: fc.tuple(requests(keyOf(gate)), fc.constantFrom(...origins)),
      judge([any, from]: [Played, From]) {
        const played = bare(any)
        const request = verdictOf(withLines(played, ['Sec-Fetch-Site', 'same-origin']), false)
        const upgrade = verdictOf(withLines(played, ...originOf(from)), true)
        const blank = request.allow ? request : { ...request, subject: '' }
        return compare(played, from, blank, upgrade)
      },
    }
  },
)

export const upgradesForwarded = property(
  'upgrades-forwarded',
  'an upgrade over a socket gets the verdict of a request, but for its origin',
  200,
  async (scope) => {
    const gate = await createGate()
    const wire = await startWire(scope)
    const verdictOf = async (played: Played): Promise<Verdict> => {
      const { answers, arrived, audit } = await wire.send(bytesOf(played, wire.host))
      const [line] = audit
      const [answer] = answers
      if (!line || !answer || answers.length > 1 || audit.length > 1) {
        throw new Error(JSON.stringify({ answers, audit }))
      }
      const allow = line['decision'] === 'allow'
      isSecured(answer, line, allow)
      if (arrived.length !== (allow ? 1 : 0)) throw new Error(JSON.stringify({ arrived, line }))
      const { reason = null, contactCenter, userId, sessionId } = line
      const subject = JSON.stringify([contactCenter, userId, sessionId, line['path']])
      return { allow, reason: reason === null ? null : String(reason), subject }
    }
    return {
      cases: fc.tuple(requests(keyOf(gate)), fc.constantFrom(...origins)),
      async judge([any, from]: [Played, From]) {
        const played = bare(any)
        const close: Line = ['Connection', 'close']
        const request = await verdictOf(
          withLines(played, ['Sec-Fetch-Site', 'same-origin'], close),
        )
        const upgrade = await verdictOf(withLines(played, ...originOf(from), ...handshake))
        if ([request, upgrade].some(({ reason }) => reason === 'overloaded')) return 'overloaded'
        return compare(played, from, request, upgrade)
      },
    }
  },
)

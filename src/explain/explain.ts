import { type AccessRequest, decide, type Gate } from '../access/access.ts'
import { type Decision, denials, type Reason } from '../access/decision.ts'
import { parseQuery, type Query } from '../access/query.ts'
import { parseTarget } from '../access/target.ts'
import { type Token, verifyToken } from '../access/token.ts'
import { type Advice, advice } from '../observe/advice.ts'
import { withoutLink } from '../observe/audit.ts'
import { printable } from '../report/words.ts'
import { bindingFindings, urlTokenHints } from './binding.ts'
import { type Findings, missingHints, tokenFindings } from './credential.ts'
import { framing, next, unknown } from './follows.ts'
import { type NoLink, navigation, pageOf, readLink } from './link.ts'
import { isShortLink, pathHints, queryHints, targetHints } from './spelling.ts'
import { masked, shown, type Values } from './values.ts'

/** What links are explained by. */
export interface Known {
  readonly gate: Gate
  /** null: whatever the link says. */
  readonly publicOrigins: readonly string[] | null
  /**
   * The settings alone; with what was revoked, too; or a gateway that serves, which knows the keys that
   * contact centers publish as well.
   */
  readonly by: 'settings' | 'settings and revocations' | 'gateway'
}

export interface Asked {
  /** The page that would show the link in a frame; '': none is asked about. */
  readonly page: string
  /** Whether ids, claims and the URLToken are written out. A signature never is. */
  readonly show: boolean
  /** ms since the epoch */
  readonly now: number
}

/** What a gateway would say of a navigation to a link, without cookies, check by check. */
export interface Explanation extends Advice {
  readonly verdict: 'let in' | 'let in and reported' | 'refused'
  /** Why it is refused or reported; null where it is neither. */
  readonly reason: Reason | null
  /** The answer's, where it is refused. */
  readonly status: number | null
  /** Whose key verified the token. */
  readonly contactCenter: string | null
  readonly steps: readonly Step[]
  /** Whether it leads to an origin that is none of PUBLIC_URL. */
  readonly elsewhere: boolean
  /** What follows from the verdict. */
  readonly next: readonly string[]
  /** What could be otherwise at the gateway. */
  readonly unknown: readonly string[]
}

export interface Step extends Findings {
  readonly name: StepName
  readonly outcome: 'passed' | 'failed' | 'reported' | 'not reached'
}

/** The checks in their order, each with the reasons it refuses for. */
const checks = [
  ['target', ['target-invalid']],
  ['query', ['query-ambiguous']],
  ['origin', ['origin-refused']],
  [
    'credential',
    [
      'token-missing',
      'token-invalid',
      'token-expired',
      'token-not-active',
      'token-too-old',
      'token-conflict',
    ],
  ],
  ['binding', ['claim-mismatch', 'claim-missing']],
  ['state', ['session-revoked', 'url-token-unknown', 'token-replayed', 'state-unreachable']],
] as const satisfies readonly (readonly [string, readonly Reason[]])[]

type StepName = (typeof checks)[number][0]

/** Explains a link, as people paste it. */
export function explain(text: string, known: Known, asked: Asked): Explanation | NoLink {
  const page = asked.page.trim() === '' ? null : pageOf(asked.page)
  if (page === '') return { field: 'page', problem: 'must be a URL of http or https' }
  const link = readLink(text, known.publicOrigins)
  if ('problem' in link) return link
  const { url } = link
  const own = known.publicOrigins ?? [url.origin]
  const origin = own.includes(url.origin) ? url.origin : (own[0] ?? url.origin)
  const { gate } = known
  const request = navigation(url, own)
  const decision = decide(request, gate, asked.now)
  // What only reports hides what it would be refused for behind a revocation.
  const unrevoked = decide(request, { ...gate, isRevoked: () => false }, asked.now)
  const reported = unrevoked.allow ? unrevoked.reported : null
  const reason = decision.allow ? decision.reported : decision.reason

  const seen = look({ request, known, asked, decision, notes: link.notes, fragment: url.hash })
  const failing = decision.allow ? null : placeOf(decision.reason)
  const reporting = reported === null ? null : placeOf(reported)
  const first = Math.min(failing ?? checks.length, reporting ?? checks.length)
  return {
    verdict: !decision.allow ? 'refused' : reason === null ? 'let in' : 'let in and reported',
    reason,
    status: decision.allow ? null : denials[decision.reason],
    contactCenter: decision.subject.contactCenter,
    elsewhere: !own.includes(url.origin),
    steps: checks.map(([name], place) => {
      const outcome = place === failing ? 'failed' : place === reporting ? 'reported' : null
      const untouched = outcome === null && place > first
      const findings = untouched ? nothing : seen[name]()
      return { name, outcome: outcome ?? (untouched ? 'not reached' : 'passed'), ...findings }
    }),
    ...adviceOn(reason, url),
    next: [...next(decision, known, asked.now), ...framing(decision, known, page, origin)],
    unknown: unknown(decision, known),
  }
}

/** A short link has no token, and is to have none. */
function adviceOn(reason: Reason | null, { pathname }: URL): Advice {
  if (reason === null) return { happened: '', remedy: '' }
  if (reason !== 'token-missing' || !isShortLink(pathname)) return advice[reason]
  return {
    happened: 'This is a short link of the links API, and no link of the gateway.',
    remedy: 'Open it at the links API, whose address is that of `LINKS_URL`.',
  }
}

interface Looked {
  readonly request: AccessRequest
  readonly known: Known
  readonly asked: Asked
  readonly decision: Decision
  readonly notes: readonly string[]
  /** With its #; '' for none. */
  readonly fragment: string
}

const nothing: Findings = { facts: [], hints: [] }

/** What there is to see at each check, by the steps that the decision itself takes. */
function look(looked: Looked): Readonly<Record<StepName, () => Findings>> {
  const { request, known, asked, decision, notes } = looked
  const { keyring } = known.gate
  const values: Values = asked.show ? shown : masked
  const target = parseTarget(request.target)
  const query = target === null ? null : parseQuery(target.query)
  const token = query?.auth ?? null
  const urlToken = query?.URLToken ?? null
  const verified = token === null ? null : verifyToken(token, urlToken, keyring, asked.now)
  const jwt = token === null ? null : (verified?.key?.verifyToken(token) ?? null)
  const isPublic = decision.allow && decision.isPublic
  const open = { facts: ['The path is public: nothing has to be proven.'], hints: [] }
  return {
    target: () => ({
      facts: target === null ? [] : [`The path is ${printable(withoutLink(target.path))}.`],
      hints: [
        ...notes,
        ...pathHints(request.target.split('?', 1)[0] ?? ''),
        ...(target === null ? targetHints(request.hosts[0] ?? '', request.target) : []),
      ],
    }),
    query: () =>
      query === null
        ? { facts: [], hints: queryHints(target?.query ?? '') }
        : { facts: [`The link has ${namesIn(query)}.`], hints: [] },
    origin: () => ({
      facts: ['A navigation needs no page of the gateway’s own.'],
      hints: [],
    }),
    credential() {
      if (isPublic) return open
      if (token !== null && verified !== null) {
        return tokenFindings({ token, urlToken, keyring, verified, now: asked.now }, asked.show)
      }
      return query?.copilotSession == null
        ? { facts: [], hints: missingHints(target, looked.fragment) }
        : {
            facts: ['copilotSession is the gateway’s own, for config.js and /socket.io/ alone.'],
            hints: [],
          }
    },
    binding() {
      if (isPublic) return open
      return query === null || jwt === null ? nothing : bindingFindings(query, jwt, values)
    },
    state() {
      const reason = decision.allow ? decision.reported : decision.reason
      const key = verified?.key ?? null
      if (reason === 'url-token-unknown' && key !== null && urlToken !== null) {
        return { facts: [], hints: urlTokenHints(urlToken, key, keyring) }
      }
      if (isPublic || reason !== null) return nothing
      const facts = [
        known.by === 'settings'
          ? 'Whether the session was ended, only the gateway knows.'
          : 'The session was not ended before its time.',
        ...urlTokenFacts(verified),
      ]
      if (decision.allow && decision.ticket !== null) {
        facts.push('The token opens one session only; whether it has, only the gateway knows.')
      }
      return { facts, hints: [] }
    },
  }
}

function urlTokenFacts(verified: Token | null): string[] {
  const contactCenter = verified?.key?.contactCenter
  if (contactCenter === undefined) return []
  return contactCenter.urlTokens === null
    ? ['Any URLToken is accepted that is nobody else’s: URL_TOKENS is not set.']
    : ['The URLToken is on the list.']
}

function namesIn(query: Query): string {
  const names = Object.entries(query).flatMap(([name, value]) => (value === null ? [] : [name]))
  return names.length === 0 ? 'none of the parameters that count' : `${names.join(', ')}, each once`
}

function placeOf(reason: Reason): number | null {
  const place = checks.findIndex(([, reasons]) => reasons.some((one) => one === reason))
  return place < 0 ? null : place
}

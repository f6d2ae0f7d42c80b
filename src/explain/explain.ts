import { type AccessRequest, decide, type Gate } from '../access/access.ts'
import { type Decision, denials, type Grant, type Reason } from '../access/decision.ts'
import { isOwn } from '../access/paths.ts'
import { parseQuery, type Query } from '../access/query.ts'
import { parseTarget } from '../access/target.ts'
import { type Token, verifyToken } from '../access/token.ts'
import { framedBy } from '../forward/frame-ancestors.ts'
import { type Advice, advice } from '../observe/advice.ts'
import { withoutLink } from '../observe/audit.ts'
import { printable } from '../report/present.ts'
import { bindingFindings, urlTokenHints } from './binding.ts'
import { type Findings, missingHints, tokenFindings } from './credential.ts'
import { pathHints, queryHints, targetHints } from './spelling.ts'
import { masked, moment, shown, span, type Values } from './values.ts'

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

/** What can't be explained, without a word of it. */
export interface NoLink {
  readonly field: 'link' | 'page'
  readonly problem: string
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
  const { gate } = known
  const request = navigation(url, own)
  const decision = decide(request, gate, asked.now)
  // What only reports hides what it would be refused for behind a revocation.
  const unrevoked = decide(request, { ...gate, isRevoked: () => false }, asked.now)
  const reported = unrevoked.allow ? unrevoked.reported : null
  const reason = decision.allow ? decision.reported : decision.reason

  const seen = look({ request, known, asked, decision, notes: link.notes, own })
  const failing = decision.allow ? null : placeOf(decision.reason)
  const reporting = reported === null ? null : placeOf(reported)
  const first = Math.min(failing ?? checks.length, reporting ?? checks.length)
  return {
    verdict: !decision.allow ? 'refused' : reason === null ? 'let in' : 'let in and reported',
    reason,
    status: decision.allow ? null : denials[decision.reason],
    contactCenter: decision.subject.contactCenter,
    steps: checks.map(([name], place) => {
      const outcome = place === failing ? 'failed' : place === reporting ? 'reported' : null
      const untouched = outcome === null && place > first
      const findings = untouched ? nothing : seen[name]()
      return { name, outcome: outcome ?? (untouched ? 'not reached' : 'passed'), ...findings }
    }),
    ...(reason === null ? { happened: '', remedy: '' } : advice[reason]),
    next: [...next(decision, known, asked.now), ...framing(decision, known, page, own)],
    unknown: unknown(decision, known),
  }
}

/** A navigation as a frame or a link on a page of somebody's makes it. */
function navigation(url: URL, own: readonly string[]): AccessRequest {
  return {
    method: 'GET',
    // The fragment stays in the browser.
    target: url.pathname + url.search,
    upgrade: false,
    hosts: [url.host],
    authorizations: [],
    cookie: '',
    origin: undefined,
    fetchSite: 'cross-site',
    fetchMode: 'navigate',
    own,
  }
}

interface Link {
  readonly url: URL
  /** What is odd about how it is written. */
  readonly notes: readonly string[]
}

/** A link, or what a log has of one: a target, of which PUBLIC_URL says where. */
function readLink(text: string, publicOrigins: readonly string[] | null): Link | NoLink {
  const notes: string[] = []
  let written = text.trim()
  const [, inner] = /^["'<](.*)["'>]$/s.exec(written) ?? []
  if (inner !== undefined) {
    written = inner.trim()
    notes.push('Quotes around the link were left out.')
  }
  if (written === '') return { field: 'link', problem: 'is empty' }
  if (/[\t\r\n]/.test(written)) {
    notes.push(
      'There are line breaks or tabs in the link: browsers drop them, other programs may not.',
    )
  }
  if (written.startsWith('/')) written = (publicOrigins?.[0] ?? 'http://localhost') + written
  else if (publicOrigins !== null) {
    const origin = URL.parse(written)?.origin ?? ''
    if (!publicOrigins.includes(origin)) {
      notes.push(
        `The link does not begin with PUBLIC_URL, which is ${publicOrigins.join(' ')}: its session would be of no use there.`,
      )
    }
  }
  const url = URL.parse(written)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    return { field: 'link', problem: 'must begin with https://, http:// or /' }
  }
  if (/(?:userId|sessionId|URLToken|auth)=/.test(url.hash)) {
    notes.push(
      'What stands behind the # stays in the browser: the gateway never sees it. Put the parameters before it.',
    )
  }
  return { url, notes }
}

interface Looked {
  readonly request: AccessRequest
  readonly known: Known
  readonly asked: Asked
  readonly decision: Decision
  readonly notes: readonly string[]
  readonly own: readonly string[]
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
        ? { facts: [], hints: missingHints(target?.query ?? '') }
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

function next(decision: Decision, { gate }: Known, now: number): string[] {
  const said: string[] = []
  if (!decision.allow) {
    said.push(
      `The client is answered ${denials[decision.reason]}, and not told why. Nothing goes upstream.`,
    )
  } else {
    said.push(...opening(decision, now))
    if (isOwn(decision.path)) said.push('The gateway answers by itself: nothing goes upstream.')
    else said.push(`The request goes upstream ${carried(decision, gate)}.`)
  }
  return said
}

/** Who may frame the answer. `page`: an origin. */
function framing(
  { subject }: Decision,
  { gate }: Known,
  page: string | null,
  own: readonly string[],
): string[] {
  const { contactCenters } = gate.keyring
  const contactCenter = contactCenters.get(subject.contactCenter ?? '')
  const sources = contactCenter?.frameAncestors ?? []
  const said =
    contactCenter === undefined
      ? 'No contact center is proven: any page that one of them allows may frame the answer.'
      : `Pages that may frame it: ${sources.join(' ') || 'none'}.`
  if (page === null) return [said]
  const all = [...contactCenters.values()].flatMap(({ frameAncestors }) => frameAncestors)
  return framedBy(contactCenter === undefined ? all : sources, page, own[0] ?? null)
    ? [said, `${page} may frame it.`]
    : [said, `${page} may not frame it: FRAME_ANCESTORS has to name it.`]
}

/** The origin of a page; '' where it has none. */
function pageOf(text: string): string {
  const url = URL.parse(text.trim())
  return url !== null && /^https?:$/.test(url.protocol) ? url.origin : ''
}

function opening(decision: Grant, now: number): string[] {
  if (decision.reported !== null)
    return ['It is let through as it is and reported: no session is opened.']
  const { opened, setCookies } = decision
  if (opened === null) return []
  const [cookie = ''] = setCookies
  const name = cookie.slice(0, cookie.indexOf('='))
  return [
    `It opens a session until ${moment(opened.end, now)} (${span(opened.end - opened.start)}), in the cookie ${name}.`,
  ]
}

function carried({ query }: Grant, { forwardAuth }: Gate): string {
  if (parseQuery(query)?.auth == null) return 'without auth'
  return forwardAuth === 'resign'
    ? 'with a fresh auth, signed by the gateway'
    : 'with auth as it came'
}

function unknown(decision: Decision, { gate, by }: Known): string[] {
  const said: string[] = []
  if (by === 'gateway') return said
  const publishing = [...gate.keyring.contactCenters.values()].filter(
    ({ jwksUrl }) => jwksUrl !== null,
  )
  if (publishing.length > 0) {
    const names = publishing
      .slice(0, 5)
      .map(({ name }) => printable(name))
      .join(', ')
    const more = publishing.length > 5 ? ` and ${publishing.length - 5} more` : ''
    said.push(
      `The public keys of ${names}${more} are published, and were not fetched: a gateway may verify what nothing here does.`,
    )
  }
  if (by === 'settings' && decision.allow) said.push('Sessions that were ended before their time.')
  return said
}

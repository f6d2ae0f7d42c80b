import type { Enforcement } from '../settings/config.ts'
import {
  type Decision,
  type Denial,
  type Grant,
  isReportable,
  nobody,
  type Reason,
  type Subject,
} from './decision.ts'
import { isNavigation, originAllowed, type Provenance } from './origin.ts'
import {
  configPath,
  isPublic,
  isSocketIo,
  logoutPath,
  type PublicPaths,
  renewPath,
} from './paths.ts'
import { parseQuery, type Query, withAuth, withoutParameters } from './query.ts'
import {
  type Cookies,
  hash,
  isSame,
  keepSession,
  type Named,
  names,
  only,
  openSession,
  proves,
  readParameter,
  readSessions,
  type Session,
  type SessionPolicy,
  splitCookies,
  unproven,
} from './session.ts'
import { isAuthority, parseTarget, type Target } from './target.ts'
import {
  bearerToken,
  bound,
  type Claims,
  type Key,
  type Keyring,
  type TokenHint,
  ticketId,
  verifyToken,
} from './token.ts'

/** What of a request is decided on: header values as received, Latin-1. */
export interface AccessRequest extends Provenance {
  /** The request target as received. */
  readonly target: string
  readonly hosts: readonly string[]
  readonly authorizations: readonly string[]
  /** All Cookie lines, joined by `; `. */
  readonly cookie: string
}

/** Whom the gateway believes, and for how long. */
export interface Gate {
  readonly keyring: Keyring
  readonly sessions: SessionPolicy
  /** Whether the workspace gets to see a token: as it came, one that is signed instead, or none. */
  readonly forwardAuth: boolean | 'resign'
  readonly publicPaths: PublicPaths
  /** Of requests that belong to no contact center. */
  readonly enforcement: Enforcement
  /** Whether a session was ended before its time. */
  readonly isRevoked: (session: Session, now: number) => boolean
}

/**
 * May this request pass? The order of the checks, written once, for HTTP and upgrades alike: target,
 * query, origin, credential, binding, state; the first refusal wins. `now` is ms since the epoch.
 */
export function decide(request: AccessRequest, gate: Gate, now: number): Decision {
  const target = parseTarget(request.target)
  const [host, ...otherHosts] = request.hosts
  if (target === null || host === undefined || !isAuthority(host) || otherHosts.length > 0) {
    return deny('target-invalid', null)
  }
  const { path } = target
  const query = parseQuery(target.query)
  if (query === null) return deny('query-ambiguous', path)

  const [authorization, ...otherAuthorizations] = request.authorizations
  const bearer = authorization === undefined ? null : bearerToken(authorization)
  const token = query.auth ?? bearer
  const credentials: Credentials = {
    token,
    bearer,
    authorization: authorization ?? null,
    conflict: otherAuthorizations.length > 0 || (bearer !== null && bearer !== token),
    parameter: takesParameter(path) ? query.copilotSession : null,
    cookies: splitCookies(request.cookie),
  }
  const parts = { request, gate, now, target, query, credentials }
  const decision = decideByCredentials(parts)
  if (decision.allow || !isOpenToAll(parts)) return orReport(parts, decision)
  return { ...grant(parts, [], authorization ?? null), isPublic: true }
}

interface Parts {
  readonly request: AccessRequest
  readonly gate: Gate
  readonly now: number
  readonly target: Target
  readonly query: Query
  readonly credentials: Credentials
}

interface Credentials {
  /** Of the query or, where it has none, of the Authorization header. */
  readonly token: string | null
  readonly bearer: string | null
  readonly authorization: string | null
  readonly conflict: boolean
  /** The `copilotSession`, where it counts. */
  readonly parameter: string | null
  readonly cookies: Cookies
}

/** Without cookies the socket, and the script that leads to it, are let in by what the page was given. */
function takesParameter(path: string): boolean {
  return path === configPath || isSocketIo(path)
}

/** Whether nothing need be proven: a static file, and no word of anybody's session. */
function isOpenToAll({ request, gate, target, query, credentials }: Parts): boolean {
  const { token, conflict, parameter } = credentials
  const reads = request.method === 'GET' || request.method === 'HEAD'
  const claims = [token, parameter, query.userId, query.sessionId, query.URLToken]
  const claimsNothing = !conflict && claims.every((claim) => claim === null)
  return reads && !request.upgrade && claimsNothing && isPublic(gate.publicPaths, target.path)
}

function decideByCredentials(parts: Parts): Decision {
  const { request, gate, now, target, query, credentials } = parts
  const { path } = target
  const { token, authorization, conflict, parameter, cookies } = credentials
  // A logout ends the cookies' sessions, whatever else the request proves.
  const countsAlone = path === logoutPath || (token === null && parameter === null)
  const cookiesOnly = countsAlone && cookies.own.length > 0
  if (!originAllowed(request, cookiesOnly)) return deny('origin-refused', path)
  if (conflict) return deny('token-conflict', path)

  const byCookies = readSessions(cookies, gate.keyring, now, gate.sessions.maxAge)
  const sessions = parameter === null ? byCookies : narrow(parts, parameter, byCookies)
  if (!Array.isArray(sessions)) return sessions
  if (token === null) {
    if (sessions.length === 0) return deny('token-missing', path)
    return allowSessions(parts, sessions, authorization)
  }

  const verified = verifyToken(token, query.URLToken, gate.keyring, now)
  switch (verified.state) {
    case 'refused': {
      const { reason, key, claims, hint } = verified
      return deny(reason, path, subjectOf(key, claims), hint, key)
    }
    case 'ended':
      return outlive(parts, sessions, verified.key, verified.claims, verified.reason)
    case 'valid': {
      const { key, claims } = verified
      if (claims === null) return deny('claim-missing', path, subjectOf(key), null, key)
      const subject = subjectOf(key, claims)
      if (!bound(claims, query)) return deny('claim-mismatch', path, subject, null, key)
      const opened = openSession(key, query, verified.expires, gate.sessions, now)
      const opens = opensSession(request, query)
      const session = opens ? lasting(parts, opened, sessions) : opened
      if (parameter !== null && !sessions.some((known) => isSame(known, session))) {
        return deny('claim-mismatch', path, subject, null, key)
      }
      if (gate.isRevoked(session, now)) return deny('session-revoked', path, subject, null, key)
      if (!hasUrlToken(session, gate.keyring)) {
        return deny('url-token-unknown', path, subject, null, key)
      }
      const uses = opens || request.upgrade || path === renewPath
      const isTicket = key.contactCenter.oneTimeTokens && uses
      const fresh = gate.keyring.resign?.(key, query, now) ?? null
      const granted = grant(parts, [session], bearerToo(parts, fresh))
      return {
        ...granted,
        query: fresh === null ? granted.query : withAuth(granted.query, fresh),
        hint: verified.hint,
        keyId: key.id,
        handsOn: uses || !key.contactCenter.oneTimeTokens,
        ticket: isTicket
          ? {
              id: ticketId(token),
              until: verified.lasts,
              otherwise: orReport(parts, outlive(parts, sessions, key, claims, 'token-replayed')),
              unreachable: orReport(
                parts,
                outlive(parts, sessions, key, claims, 'state-unreachable'),
              ),
            }
          : null,
        opened: session,
        isNew: !sessions.some((known) => isSame(known, session)),
        setCookies: opens ? keepSession(session, query.URLToken, cookies, gate.keyring, now) : [],
      }
    }
  }
}

/** Opened anew by an older link, a session that was renewed lasts as long as its cookie proves. */
function lasting({ gate, now }: Parts, opened: Session, proven: readonly Session[]): Session {
  const ends = proven
    // Another secret may be retired before the link's own.
    .filter((known) => known.keyId === opened.keyId && isSame(known, opened))
    .filter((known) => !gate.isRevoked(known, now))
    .map(({ end }) => end)
  return { ...opened, end: Math.max(opened.end, ...ends) }
}

/** The agent pressed F5: the link in the address bar is over, the session it opened is not. */
function outlive(
  parts: Parts,
  sessions: readonly Session[],
  key: Key,
  claims: Claims | null,
  reason: Reason,
): Decision {
  const { path } = parts.target
  const same = claims ? sessions.filter((session) => proves(session, key, claims)) : []
  const subject = subjectOf(key, claims)
  // Nor does it open anything anew.
  if (same.length === 0 || path === renewPath) return deny(reason, path, subject, null, key)
  if (!originAllowed(parts.request, true)) return deny('origin-refused', path, subject, null, key)
  const { bearer, authorization } = parts.credentials
  const decision = allowSessions(parts, same, bearer === null ? authorization : null)
  return { ...decision, keyId: key.id }
}

/** The Authorization header with the token that the workspace gets; null for none. */
function bearerToo({ gate, credentials }: Parts, fresh: string | null): string | null {
  if (credentials.bearer === null) return credentials.authorization
  if (fresh !== null) return `Bearer ${fresh}`
  return gate.forwardAuth === true ? credentials.authorization : null
}

/** What would be refused for want of proof passes, proves nothing and is reported, where that is asked for. */
function orReport(parts: Parts, decision: Decision): Decision {
  if (decision.allow || !isReportable(decision.reason)) return decision
  const { gate, now, query } = parts
  const { subject } = decision
  const claimed = claimedBy(gate, subject.contactCenter, query, now)
  if (claimed === null) return decision
  // Whoever was shut out does not come back by leaving the proof away.
  const ids = {
    userId: subject.userId ?? query.userId,
    sessionId: subject.sessionId ?? query.sessionId,
  }
  const also = claimed.map(({ contactCenter }) => unproven(contactCenter, ids, now))
  if ([...claimed, ...also].some((session) => gate.isRevoked(session, now))) {
    return { ...decision, reason: 'session-revoked' }
  }
  return {
    ...grant(parts, [], bearerToo(parts, null), gate.forwardAuth === true),
    subject: { ...subject, contactCenter: claimed[0]?.contactCenter || null },
    hint: decision.hint,
    keyId: decision.keyId,
    reported: decision.reason,
    claimed,
    reports: true,
    isNew: true,
  }
}

/**
 * What is claimed without proof, as sessions of all whom it concerns: of the contact center that the
 * rest proves, if any, first, and of the one whose URLToken is named. null where not all of them only
 * report: nobody gets at one that enforces through one that does not.
 */
export function claimedBy(
  { keyring, enforcement }: Pick<Gate, 'keyring' | 'enforcement'>,
  contactCenter: string | null,
  named: Named,
  now: number,
): readonly Session[] | null {
  const owner = named.URLToken === null ? null : keyring.ownerOf(hash(named.URLToken))
  const [only, ...others] = keyring.contactCenters.keys()
  const own = contactCenter ?? owner ?? (others.length > 0 ? undefined : only) ?? ''
  const concerned = [...new Set([own, owner ?? own])]
  return concerned.every((name) => enforcementOf(keyring, name, enforcement) === 'report')
    ? concerned.map((name) => unproven(name, named, now))
    : null
}

/** A `copilotSession` leaves its own session; one that has ended leaves it to the cookies, as a token does. */
function narrow(
  { request, gate, now, target, credentials }: Parts,
  parameter: string,
  byCookies: readonly Session[],
): Session[] | Denial {
  const proven = readParameter(parameter, gate.keyring, gate.sessions.maxAge)
  if (proven === null) return deny('token-invalid', target.path)
  const same = byCookies.filter((session) => isSame(session, proven))
  if (now < proven.end) return [proven, ...same]
  const subject = common([proven])
  if (same.length === 0) return deny('token-expired', target.path, subject)
  return credentials.token === null && !originAllowed(request, true)
    ? deny('origin-refused', target.path, subject)
    : same
}

function enforcementOf(
  { contactCenters }: Keyring,
  contactCenter: string,
  otherwise: Enforcement,
): Enforcement {
  return contactCenters.get(contactCenter)?.enforcement ?? otherwise
}

/** Without a token that counts, what the query names has to be one of the proven sessions. */
function allowSessions(
  parts: Parts,
  sessions: readonly Session[],
  authorization: string | null,
): Decision {
  const { gate, now, target, query } = parts
  const named = sessions.filter((session) => names(session, query))
  if (named.length === 0) {
    // Whose links are not signed sees this as soon as an agent has another chat open.
    const unsigned = isNavigation(parts.request) && parts.credentials.token === null
    const hint = unsigned ? 'the link has no auth; the browser’s sessions are of other links' : null
    return deny('claim-mismatch', target.path, common(sessions), hint)
  }
  const live = named.filter((session) => !gate.isRevoked(session, now))
  if (live.length === 0) return deny('session-revoked', target.path, common(named))
  const known = live.filter((session) => hasUrlToken(session, gate.keyring))
  if (known.length === 0) return deny('url-token-unknown', target.path, common(live))
  return grant(parts, known, authorization, false)
}

function grant(
  { gate, target, credentials }: Parts,
  sessions: readonly Session[],
  authorization: string | null,
  withToken = gate.forwardAuth !== false,
): Grant {
  const raw = target.query ?? ''
  return {
    allow: true,
    path: target.path,
    query: withToken
      ? withoutParameters(raw, 'copilotSession')
      : withoutParameters(raw, 'copilotSession', 'auth'),
    cookie: credentials.cookies.others,
    authorization,
    subject: common(sessions),
    hint: null,
    keyId: null,
    reported: null,
    claimed: [],
    reports:
      sessions.length > 0 &&
      sessions.every(
        ({ contactCenter }) =>
          enforcementOf(gate.keyring, contactCenter, gate.enforcement) === 'report',
      ),
    ticket: null,
    isPublic: false,
    sessions,
    opened: null,
    isNew: false,
    handsOn: true,
    session: only(sessions),
    setCookies: [],
  }
}

function deny(
  reason: Reason,
  path: string | null,
  subject: Subject = nobody,
  hint: TokenHint | null = null,
  key: Key | null = null,
): Denial {
  return { allow: false, reason, path, subject, hint, keyId: key?.id ?? null }
}

function subjectOf(key: Key | null, claims: Claims | null = null): Subject {
  return {
    contactCenter: key?.contactCenter.name ?? null,
    userId: claims?.userId ?? null,
    sessionId: claims?.sessionId ?? null,
  }
}

/** What all sessions agree on: a script's request carries the cookies of every chat of the agent. */
function common(sessions: readonly Session[]): Subject {
  const [first = nobody, ...others] = sessions.map(
    ({ contactCenter, userId, sessionId }): Subject => ({ contactCenter, userId, sessionId }),
  )
  return others.reduce(
    (one, other) => ({
      contactCenter: one.contactCenter === other.contactCenter ? one.contactCenter : null,
      userId: one.userId === other.userId ? one.userId : null,
      sessionId: one.sessionId === other.sessionId ? one.sessionId : null,
    }),
    first,
  )
}

/** Only the document's URL carries `auth`; a client without Fetch Metadata that sends it asks for one. */
function opensSession(request: AccessRequest, query: Query): boolean {
  if (request.upgrade) return false
  if (request.fetchSite !== undefined) return isNavigation(request)
  return request.method === 'GET' && query.auth !== null
}

/** Whether the link's URLToken is its contact center's own, or nobody's where it has none of its own. */
export function hasUrlToken(session: Session, { contactCenters, ownerOf }: Keyring): boolean {
  const { contactCenter: name, urlTokenHash } = session
  const own = contactCenters.get(name)?.urlTokens ?? null
  return ownerOf(urlTokenHash) === (own === null ? null : name)
}

import type { Decision, Denial, Grant, Reason, Subject } from './decision.ts'
import { isNavigation, originAllowed, type Provenance } from './origin.ts'
import {
  configPath,
  isPublic,
  isSocketIo,
  logoutPath,
  type PublicPaths,
  renewPath,
} from './paths.ts'
import { parseQuery, type Query, withoutParameters } from './query.ts'
import {
  type Cookies,
  isSame,
  keepSession,
  names,
  only,
  openSession,
  proves,
  readParameter,
  readSessions,
  type Session,
  type SessionPolicy,
  splitCookies,
} from './session.ts'
import { isAuthority, parseTarget, type Target } from './target.ts'
import {
  bearerToken,
  bound,
  type Claims,
  type Key,
  type TokenHint,
  type TokenPolicy,
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
  /** Newest first. */
  readonly keys: readonly Key[]
  readonly tokens: TokenPolicy
  readonly sessions: SessionPolicy
  /** Whether the workspace gets to see the token. */
  readonly forwardAuth: boolean
  readonly publicPaths: PublicPaths
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
  return decision.allow || !isOpenToAll(parts) ? decision : grant(parts, [], authorization ?? null)
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
  const { token, bearer, authorization, conflict, parameter, cookies } = credentials
  // A logout ends the cookies' sessions, whatever else the request proves.
  const countsAlone = path === logoutPath || (token === null && parameter === null)
  const cookiesOnly = countsAlone && cookies.own.length > 0
  if (!originAllowed(request, cookiesOnly)) return deny('origin-refused', path)
  if (conflict) return deny('token-conflict', path)

  const byCookies = readSessions(cookies, gate.keys, now)
  const sessions = parameter === null ? byCookies : narrow(parts, parameter, byCookies)
  if (!Array.isArray(sessions)) return sessions
  if (token === null) {
    if (sessions.length === 0) return deny('token-missing', path)
    return allowSessions(parts, sessions, authorization)
  }

  const verified = verifyToken(token, gate.keys, gate.tokens, now)
  switch (verified.state) {
    case 'refused':
      return deny(verified.reason, path, subjectOf(verified.key, verified.claims), verified.hint)
    case 'ended': {
      // The agent pressed F5: the link in the address bar is over, the session it opened is not.
      const { key, claims } = verified
      const same = claims ? sessions.filter((session) => proves(session, key, claims)) : []
      const subject = subjectOf(key, claims)
      // Nor does it open anything anew.
      if (same.length === 0 || path === renewPath) return deny(verified.reason, path, subject)
      if (!originAllowed(request, true)) return deny('origin-refused', path, subject)
      return allowSessions(parts, same, bearer === null ? authorization : null)
    }
    case 'valid': {
      const { key, claims } = verified
      if (claims === null) return deny('claim-missing', path, subjectOf(key))
      if (!bound(claims, query)) return deny('claim-mismatch', path, subjectOf(key, claims))
      const session = openSession(key, query, verified.expires, gate.sessions, now)
      const subject = subjectOf(key, claims)
      if (parameter !== null && !sessions.some((known) => isSame(known, session))) {
        return deny('claim-mismatch', path, subject)
      }
      if (gate.isRevoked(session, now)) return deny('session-revoked', path, subject)
      const setCookies = opensSession(request, query)
        ? keepSession(session, query.URLToken, cookies, gate.keys, now)
        : []
      const keep = gate.forwardAuth || bearer === null
      return {
        ...grant(parts, [session], keep ? authorization : null, gate.forwardAuth),
        hint: verified.hint,
        opened: session,
        isNew: !sessions.some((known) => isSame(known, session)),
        setCookies,
      }
    }
  }
}

/** A `copilotSession` leaves its own session; one that has ended leaves it to the cookies, as a token does. */
function narrow(
  { request, gate, now, target, credentials }: Parts,
  parameter: string,
  byCookies: readonly Session[],
): Session[] | Denial {
  const proven = readParameter(parameter, gate.keys)
  if (proven === null) return deny('token-invalid', target.path)
  const same = byCookies.filter((session) => isSame(session, proven))
  if (now < proven.end) return [proven, ...same]
  const subject = common([proven])
  if (same.length === 0) return deny('token-expired', target.path, subject)
  return credentials.token === null && !originAllowed(request, true)
    ? deny('origin-refused', target.path, subject)
    : same
}

/** Without a token that counts, what the query names has to be one of the proven sessions. */
function allowSessions(
  parts: Parts,
  sessions: readonly Session[],
  authorization: string | null,
): Decision {
  const { gate, now, target, query } = parts
  const named = sessions.filter((session) => names(session, query))
  if (named.length === 0) return deny('claim-mismatch', target.path, common(sessions))
  const live = named.filter((session) => !gate.isRevoked(session, now))
  if (live.length === 0) return deny('session-revoked', target.path, common(named))
  return grant(parts, live, authorization)
}

function grant(
  { target, credentials }: Parts,
  sessions: readonly Session[],
  authorization: string | null,
  forwardAuth = false,
): Grant {
  const raw = target.query ?? ''
  return {
    allow: true,
    path: target.path,
    query: forwardAuth
      ? withoutParameters(raw, 'copilotSession')
      : withoutParameters(raw, 'copilotSession', 'auth'),
    cookie: credentials.cookies.others,
    authorization,
    subject: common(sessions),
    hint: null,
    sessions,
    opened: null,
    isNew: false,
    session: only(sessions),
    setCookies: [],
  }
}

const nobody: Subject = { contactCenter: null, userId: null, sessionId: null }

function deny(
  reason: Reason,
  path: string | null,
  subject: Subject = nobody,
  hint: TokenHint | null = null,
): Denial {
  return { allow: false, reason, path, subject, hint }
}

function subjectOf(key: Key | null, claims: Claims | null = null): Subject {
  return {
    contactCenter: key?.contactCenter ?? null,
    userId: claims?.userId ?? null,
    sessionId: claims?.sessionId ?? null,
  }
}

/** What all sessions agree on: a script's request carries the cookies of every chat of the agent. */
function common(sessions: readonly Session[]): Subject {
  const [first = nobody, ...others] = sessions.map((session) =>
    subjectOf(session.key, { ...session, URLToken: null }),
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

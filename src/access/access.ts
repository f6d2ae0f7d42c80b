import type { Decision, Denial, Grant, Reason, Subject } from './decision.ts'
import { isNavigation, originAllowed, type Provenance } from './origin.ts'
import { parseQuery, type Query, withoutParameters } from './query.ts'
import {
  type Cookies,
  keepSession,
  names,
  openSession,
  proves,
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
}

/**
 * May this request pass? The order of the checks, written once, for HTTP and upgrades alike: target,
 * query, origin, credential, binding; the first refusal wins. `now` is ms since the epoch.
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

  const cookies = splitCookies(request.cookie)
  const [authorization, ...otherAuthorizations] = request.authorizations
  const bearer = authorization === undefined ? null : bearerToken(authorization)
  const token = query.auth ?? bearer
  const cookiesOnly = token === null && cookies.own.length > 0
  if (!originAllowed(request, cookiesOnly)) return deny('origin-refused', path)
  if (otherAuthorizations.length > 0 || (bearer !== null && bearer !== token)) {
    return deny('token-conflict', path)
  }

  const sessions = readSessions(cookies, gate.keys, now)
  const parts = { request, gate, now, target, query, cookies }
  if (token === null) {
    if (sessions.length === 0) return deny('token-missing', path)
    return allowSessions(parts, sessions, authorization ?? null)
  }

  const verified = verifyToken(token, gate.keys, gate.tokens, now)
  switch (verified.state) {
    case 'refused':
      return deny(verified.reason, path, subjectOf(verified.key))
    case 'ended': {
      // The agent pressed F5: the link in the address bar is over, the session it opened is not.
      const { key, claims } = verified
      const same = claims ? sessions.filter((session) => proves(session, key, claims)) : []
      const subject = subjectOf(key, claims)
      if (same.length === 0) return deny(verified.reason, path, subject)
      if (!originAllowed(request, true)) return deny('origin-refused', path, subject)
      return allowSessions(parts, same, bearer === null ? (authorization ?? null) : null)
    }
    case 'valid': {
      const { key, claims } = verified
      if (claims === null) return deny('claim-missing', path, subjectOf(key))
      if (!bound(claims, query)) return deny('claim-mismatch', path, subjectOf(key, claims))
      const session = openSession(key, query, verified.expires, gate.sessions, now)
      const setCookies = opensSession(request, query)
        ? keepSession(session, query.URLToken, cookies, gate.keys, now)
        : []
      const keep = gate.forwardAuth || bearer === null
      return {
        ...grant(parts, [session], keep ? (authorization ?? null) : null, gate.forwardAuth),
        isNew: !sessions.some((known) => proves(known, key, query)),
        setCookies,
      }
    }
  }
}

interface Parts {
  readonly request: AccessRequest
  readonly gate: Gate
  readonly now: number
  readonly target: Target
  readonly query: Query
  readonly cookies: Cookies
}

/** Without a token that counts, what the query names has to be one of the proven sessions. */
function allowSessions(
  parts: Parts,
  sessions: readonly Session[],
  authorization: string | null,
): Decision {
  const named = sessions.filter((session) => names(session, parts.query))
  if (named.length > 0) return grant(parts, named, authorization, false)
  return deny('claim-mismatch', parts.target.path, common(sessions))
}

function grant(
  { target, cookies }: Parts,
  sessions: readonly Session[],
  authorization: string | null,
  forwardAuth: boolean,
): Grant {
  const raw = target.query ?? ''
  return {
    allow: true,
    path: target.path,
    query: forwardAuth
      ? withoutParameters(raw, 'copilotSession')
      : withoutParameters(raw, 'copilotSession', 'auth'),
    cookie: cookies.others,
    authorization,
    subject: common(sessions),
    end: Math.max(...sessions.map((session) => session.end)),
    isNew: false,
    session: only(sessions),
    setCookies: [],
  }
}

const nobody: Subject = { contactCenter: null, userId: null, sessionId: null }

function deny(reason: Reason, path: string | null, subject: Subject = nobody): Denial {
  return { allow: false, reason, path, subject }
}

function subjectOf(key: Key | null, claims: Claims | null = null): Subject {
  return {
    contactCenter: key?.contactCenter ?? null,
    userId: claims?.userId ?? null,
    sessionId: claims?.sessionId ?? null,
  }
}

/** The one session that several cookies may prove. */
function only([first, ...others]: readonly Session[]): Session | null {
  if (first === undefined) return null
  const claims = { ...first, URLToken: null }
  const alike = (other: Session): boolean =>
    proves(other, first.key, claims) && other.urlTokenHash === first.urlTokenHash
  return others.every(alike) ? first : null
}

/** What all sessions agree on: a script's request carries the cookies of every chat of the agent. */
function common(sessions: readonly Session[]): Subject {
  return sessions
    .map((session) => subjectOf(session.key, { ...session, URLToken: null }))
    .reduce((one, other) => ({
      contactCenter: one.contactCenter === other.contactCenter ? one.contactCenter : null,
      userId: one.userId === other.userId ? one.userId : null,
      sessionId: one.sessionId === other.sessionId ? one.sessionId : null,
    }))
}

/** Only the document's URL carries `auth`; a client without Fetch Metadata that sends it asks for one. */
function opensSession(request: AccessRequest, query: Query): boolean {
  if (request.upgrade) return false
  if (request.fetchSite !== undefined) return isNavigation(request)
  return request.method === 'GET' && query.auth !== null
}

// What holds of every request that goes on, whatever it was: thrown where it does not.
import { backEnds } from './back-ends.ts'
import { type Carried, type Identity, idNames, type Played } from './requests.ts'
import { type Exchanged, type Line, type Message, valuesOf, type Wire } from './wire.ts'

export type Named = Partial<Identity>

function demand(holds: boolean, ...said: readonly unknown[]): asserts holds {
  if (holds) return
  throw new Error(said.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))).join(' '))
}

/**
 * What all back ends read in a query, which must be one and the same: of each name nothing or one
 * text, and together no more than one of the identities.
 */
export function readByAll(query: string, identities: readonly Carried[]): Named {
  const named: Record<string, string> = {}
  for (const name of [...idNames, 'auth', 'copilotSession']) {
    const readings = backEnds.flatMap((backEnd) => {
      const reading = backEnd.read(query)
      // Whoever refuses a query is led astray by nothing in it.
      return reading === null ? [] : [{ by: backEnd.name, value: reading(name) }]
    })
    const value = readings[0]?.value
    for (const reading of readings) {
      const isText = reading.value === undefined || typeof reading.value === 'string'
      demand(isText && reading.value === value, name, 'is read as', readings)
    }
    if (typeof value === 'string') named[name] = value
  }
  const { auth: _, copilotSession, ...ids } = named
  demand(copilotSession === undefined, 'copilotSession goes on')
  const isOne = identities.some((identity) =>
    idNames.every(
      (name) =>
        named[name] === undefined || identity[name] === null || named[name] === identity[name],
    ),
  )
  demand(isOne, ids, 'is none of', identities)
  return ids
}

/** A path must lead every server to the same place: none may find a segment to skip or to climb by. */
export function leadsAlike(path: string): void {
  const seen = new URL(`http://h${path}`)
  demand(seen.host === 'h', path, 'leads to', seen.host)
  demand(decodeURIComponent(seen.pathname) === decodeURIComponent(path), path, 'is', seen.pathname)
  // Servlet containers drop what follows `;`, before they decode or after; others decode twice.
  for (const order of ['raw', 'decoded', 'twice']) {
    const text = order === 'raw' ? path : decodeURIComponent(path)
    const twice = order === 'twice' ? text.replace(/%(?:2e|2f|5c|3b)/gi, decodeURIComponent) : text
    const segments = twice.split('/').map((segment) => decoded(segment.replace(/;.*/, '')))
    demand(segments.length === path.split('/').length, path, 'has other segments, read', order)
    const isPlain = segments.every((segment) => !/^\.\.?$|[/\\\0]/.test(segment))
    demand(isPlain, path, 'has a dot segment, read', order)
  }
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

/** The query that goes on is the one that came, less whole parameters of the gateway's. */
export function isWhatCame(query: string, came: string): void {
  const pieces = query === '' ? [] : query.split('&')
  for (const piece of came.split('&')) {
    if (pieces[0] === piece) pieces.shift()
    else demand(/^(?:auth|copilotSession)(?:=|$)/.test(piece) || piece === '', piece, 'is lost')
  }
  demand(pieces.length === 0, pieces, 'did not come')
}

/** The claims of the token that a back end would verify, where it gets one. */
function forwardedClaims(token: string | undefined): Named | null {
  if (token === undefined) return null
  const [, claims = ''] = token.split('.')
  const parsed: Record<string, unknown> = JSON.parse(Buffer.from(claims, 'base64url').toString())
  return Object.fromEntries(
    idNames.flatMap((name) => (parsed[name] === undefined ? [] : [[name, String(parsed[name])]])),
  )
}

const neverForwarded =
  /^(?:expect|http2-settings|keep-alive|proxy-.*|te|trailer|x-http-method(?:-override)?|x-original-url|x-real-ip|x-rewrite-url)$/
const own = /^(?:forwarded|host|x-copilot-.*|x-forwarded-.*|x-request-id)$/
/** Who frames a body, and who keeps a connection, is a matter of each hop. */
const framing = /^(?:connection|content-length|transfer-encoding|upgrade)$/

export interface Settings {
  readonly basePath: string
  readonly forwardAuth: boolean
  readonly identityHeaders: boolean
}

/** All of it, for one request that was sent to a real gateway; returns whether it was let in. */
export function holds(
  played: Played,
  { answers, arrived, audit }: Exchanged,
  wire: Wire,
  settings: Settings,
): boolean {
  const final = answers.filter(({ start }) => !/^HTTP\/1\.1 1/.test(start))
  demand(final.length === 1, 'answers', answers)
  demand(audit.length === 1, 'audit lines', audit)
  const [line] = audit
  const [answer] = final
  demand(line !== undefined && answer !== undefined, 'nothing')
  const allowed = line['decision'] === 'allow'
  const status = Number(answer.start.split(' ')[1])
  demand(line['status'] === status, 'status', status, 'is audited as', line)
  demand(arrived.length === (allowed ? 1 : 0), 'arrived', arrived, line)
  isSecured(answer, line, allowed)
  tellsNothing(played, answer, line, allowed)
  const [request] = arrived
  if (request === undefined) return false

  const { carried } = played
  const [path = '', ...rest] = played.target.split('?')
  const mark = request.target.indexOf('?')
  const isApi = path.startsWith('/socket.io/')
  const expected = (isApi ? '' : settings.basePath) + path
  const forwarded = mark < 0 ? request.target : request.target.slice(0, mark)
  const query = mark < 0 ? '' : request.target.slice(mark + 1)
  demand(request.method === played.method.trim(), 'method', request.method)
  demand(request.host === (isApi ? 'api' : 'page'), path, 'reached', request.host)
  demand(forwarded === expected, 'path', forwarded, 'was checked as', expected)
  demand(line['path'] === path, 'path is audited as', line)
  demand(request.body === played.body, 'body', request.body)
  leadsAlike(path)
  isWhatCame(query, rest.join('?'))
  const named = readByAll(query, carried)
  for (const name of ['userId', 'sessionId'] as const) {
    const audited = line[name]
    demand(audited === undefined || !named[name] || audited === named[name], 'audited', line)
  }
  headersHold(played, request.lines, wire.upstreams[request.host])

  const [authorization] = valuesOf(request.lines, 'authorization')
  const bearer = /^bearer[ \t]+([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(authorization ?? '')?.[1]
  const auth = new URLSearchParams(query).get('auth') ?? undefined
  demand(auth === undefined || settings.forwardAuth, 'auth goes on')
  for (const claims of [forwardedClaims(auth), forwardedClaims(bearer)]) {
    if (claims === null) continue
    const same = idNames.every((name) => name === 'URLToken' || claims[name] === named[name])
    demand(same && (!claims.URLToken || claims.URLToken === named.URLToken), claims, 'beside', named)
  }
  identityHolds(request.lines, line, carried, settings.identityHeaders)
  return true
}

/** CONTRACT §1, Forwarding. */
function headersHold(played: Played, lines: readonly Line[], host: string): void {
  const sent = played.lines.map(([name, value]): Line => [
    name.toLowerCase().replaceAll('_', '-'),
    value.replace(/^[\t ]+|[\t ]+$/g, ''),
  ])
  const options = sent
    .filter(([name]) => name === 'connection')
    .flatMap(([, value]) => value.split(','))
    .map((option) => option.trim().toLowerCase())
  const isDropped = (name: string): boolean =>
    neverForwarded.test(name) || own.test(name) || framing.test(name) || options.includes(name)
  const kept = sent
    .filter(([name]) => !isDropped(name) && !/^(?:authorization|cookie|origin|referer)$/.test(name))
    .map(String)

  const counts = new Map<string, number>()
  const others: string[] = []
  for (const [rawName, value] of lines) {
    const name = rawName.toLowerCase().replaceAll('_', '-')
    counts.set(name, (counts.get(name) ?? 0) + 1)
    demand(!neverForwarded.test(name), rawName, 'goes on')
    demand(!/^_|_/.test(rawName) || !own.test(name), rawName, 'is a look-alike')
    if (name === 'connection') demand(/^(?:close|keep-alive|upgrade)$/i.test(value), 'Connection', value)
    else if (name === 'host') demand(value === host, 'Host', value)
    else if (name === 'origin') demand(value === `http://${host}`, 'Origin', value)
    else if (name === 'referer') demand(/^https?:\/\/[^/?#@]+\/$/.test(value), 'Referer', value)
    else if (name === 'cookie') demand(!/(?:^|;)[\s\xa0]*__host-copilot-/i.test(value), 'Cookie', value)
    else if (name !== 'authorization' && !own.test(name) && !framing.test(name)) {
      others.push(String([name, value]))
    }
    const isOwn = own.test(name) || /^(?:authorization|cookie|connection)$/.test(name)
    demand(!isOwn || counts.get(name) === 1, rawName, 'goes on twice')
    const isNamed = options.includes(name) && !own.test(name) && !framing.test(name)
    demand(!isNamed, rawName, 'is named by Connection')
  }
  for (const name of ['host', 'forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto']) {
    demand(counts.has(name), name, 'is missing')
  }
  const values = (name: string): string | undefined => valuesOf(lines, name)[0]
  demand(values('x-forwarded-for') === '127.0.0.1', 'X-Forwarded-For', values('x-forwarded-for'))
  demand(values('x-forwarded-proto') === 'http', 'X-Forwarded-Proto')
  demand(!counts.has('x-forwarded-port'), 'X-Forwarded-Port goes on')
  demand(String(others) === String(kept), 'headers', others, 'were', kept)
}

function identityHolds(
  lines: readonly Line[],
  line: Readonly<Record<string, unknown>>,
  carried: readonly Carried[],
  wanted: boolean,
): void {
  const said = lines.filter(([name]) => /^x[-_]copilot[-_]/i.test(name))
  if (said.length === 0) return
  demand(wanted, 'identity goes on', said)
  const names = said.map(([name]) => name.toLowerCase()).join()
  demand(names === 'x-copilot-user-id,x-copilot-session-id,x-copilot-contact-center', 'headers', names)
  const [userId, sessionId] = said.map(([, value]) => decodeURIComponent(value))
  demand(userId === line['userId'] && sessionId === line['sessionId'], said, 'beside', line)
  const isOne = carried.some((one) => one.userId === userId && one.sessionId === sessionId)
  demand(isOne, said, 'is none of', carried)
}

/** CONTRACT §3. */
export function isSecured(
  { start, lines }: Message,
  line: Readonly<Record<string, unknown>>,
  allowed: boolean,
): void {
  const one = (name: string): string => {
    const values = valuesOf(lines, name)
    demand(values.length === 1, name, values)
    return values[0] ?? ''
  }
  const ancestors = one('content-security-policy')
    .split(/[;,]/)
    .flatMap((directive) => /^\s*frame-ancestors\s+(.*)$/i.exec(directive)?.[1] ?? [])
  demand(ancestors.length === 1, 'frame-ancestors', ancestors)
  const [sources = ''] = ancestors
  const known = line['contactCenter'] !== undefined
  demand(sources === 'https://cc.example' || (!known && sources === "'none'"), sources)
  demand(one('x-content-type-options') === 'nosniff', start)
  demand(one('referrer-policy') === 'same-origin', start)
  demand(one('x-request-id') === line['requestId'], 'request id', line)
  for (const [name, value] of lines) {
    const leaks = /^(?:server|x-powered-by|x-frame-options|keep-alive|access-control-allow-.*)$/i
    demand(!leaks.test(name) || /^keep-alive$/i.test(name), name, 'comes back')
    demand(!/forged|workspace/.test(value), name, value)
  }
  if (allowed && valuesOf(lines, 'set-cookie').length === 0) return
  demand(/no-store/.test(one('cache-control')), 'Cache-Control')
}

/** CONTRACT §3 and §8: neither a refusal nor a line of the log repeats a secret or a reason. */
function tellsNothing(
  { target, lines }: Played,
  answer: Message,
  line: Readonly<Record<string, unknown>>,
  allowed: boolean,
): void {
  const text = JSON.stringify(line)
  demand(!/[\w-]+\.eyJ|eyJhbGci|__Host-copilot-/i.test(text), 'the log has a secret', text)
  demand(!String(line['path'] ?? '').includes('?'), 'the log has a query', text)
  demand(String(line['path'] ?? target).length <= target.length, 'path', text)
  if (allowed) return
  const secrets = [...target.split(/[?&=]/), ...lines.map(([, value]) => value)]
  const body = answer.lines.map(String).join('\n') + answer.body
  for (const secret of secrets) {
    demand(secret.length < 12 || !body.includes(secret), 'the refusal has', secret)
  }
  demand(!body.includes(String(line['reason'])), 'the refusal tells its reason')
}

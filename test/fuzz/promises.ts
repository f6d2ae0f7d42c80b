// What holds of every request and its answer, whatever they were: thrown where it does not.

import { pairs } from '../../src/forward/request-headers.ts'
import { backEnds } from './back-ends.ts'
import { idNames, type Played, type Proven } from './requests.ts'
import { type Arrived, type Exchanged, type Line, valuesOf, type Wire } from './wire.ts'

type Named = Readonly<Partial<Record<(typeof idNames)[number], string>>>

function demand(holds: boolean, ...said: readonly unknown[]): asserts holds {
  if (!holds) throw new Error(said.map((one) => JSON.stringify(one)).join(' '))
}

/** All promises, for one request sent to a real gateway; returns its verdict: `allow` or a reason. */
export function verdictOf(played: Played, exchanged: Exchanged, wire: Wire): string {
  const { arrived, audit, status, body } = exchanged
  const isAllowed = audit['decision'] === 'allow'
  demand(audit['status'] === status, 'answered', status, 'audited', audit)
  demand(isAllowed === (arrived !== null), audit, 'arrived', arrived)
  answerIsSecured(exchanged)
  if (arrived === null) {
    const reason = String(audit['reason'])
    demand(!body.includes(reason), 'the refusal tells', reason)
    return reason
  }
  const lines = [...pairs(arrived.rawHeaders)]
  const query = targetHolds(played, arrived, String(audit['path']), wire)
  headersHold(played, lines, wire.upstreams[arrived.host])
  const { auth, ...named } = readByAll(query)
  const proven = played.proven.filter((one) => agrees(named, one))
  demand(proven.length > 0, named, 'is none of', played.proven)
  tokenAgrees(named, auth)
  tokenAgrees(named, bearerOf(lines))
  const says = lines.filter(([name]) => name.toLowerCase().startsWith('x-copilot-'))
  if (!wire.settings.identityHeaders) demand(says.length === 0, 'identity', says)
  if (says.length === 0) return 'allow'
  const [userId = '', sessionId = ''] = says.map(([, value]) => decodeURIComponent(value))
  const isProven = proven.some((one) => agrees({ userId, sessionId }, one))
  demand(says.length === 3 && isProven, says, 'is none of', proven)
  demand(userId === audit['userId'] && sessionId === audit['sessionId'], says, 'beside', audit)
  return 'allow'
}

/** The target that arrives is the one that came, less whole parameters; returns its query. */
function targetHolds(
  played: Played,
  arrived: Arrived,
  audited: string,
  { host: own, settings: { basePath, forwardAuth } }: Wire,
): string {
  // Spaces before the target separate it from the method, as one does.
  const target = played.target.replace(/^ +/, '').replaceAll('{host}', own)
  const [path = '', ...rest] = target.split('?')
  const [forwarded = '', ...forwardedRest] = arrived.url.split('?')
  const query = forwardedRest.join('?')
  const host = /^\/(?:s|%73)ocket\.io\//.test(path) ? 'api' : 'page'
  demand(arrived.method === played.method, 'method', arrived.method)
  demand(arrived.host === host, path, 'reached the', arrived.host)
  demand(forwarded === (host === 'api' ? '' : basePath) + path, path, 'went on as', forwarded)
  // A mangled link's path is cut where its query begins.
  const isCut = audited.endsWith('…') && decodeURIComponent(path).startsWith(audited.slice(0, -1))
  demand(isCut || audited === path, path, 'is audited as', audited)
  pathLeadsAlike(path)
  const less = (names: RegExp): string => {
    const pieces = rest.join('?').split('&')
    return pieces.filter((piece) => !names.test(piece)).join('&')
  }
  // A token that is over stays behind where a cookie proves its session.
  const allowed = [less(/^(?:copilotSession|auth)(?:=|$)/)]
  if (forwardAuth) allowed.push(less(/^copilotSession(?:=|$)/))
  demand(allowed.includes(query), allowed, 'went on as', query)
  return query
}

/** The workspace may take its ids from a token just as well. */
function tokenAgrees(named: Named, token: string | undefined): void {
  if (token === undefined) return
  const claims: Named = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
  const isWhole = idNames.every((name) => named[name] !== undefined)
  demand(isWhole && agrees(claims, { ...noIds, ...named }), claims, 'beside', named)
}

const noIds: Proven = { userId: '', sessionId: '', URLToken: '' }

/** What every back end reads in a query: of each name nothing or one text, and all of them the same. */
export function readByAll(query: string): Named & { readonly auth?: string } {
  const named: Record<string, string> = {}
  for (const name of [...idNames, 'auth', 'copilotSession']) {
    const readings = backEnds.flatMap(({ name: by, read }) => {
      const reading = read(query)
      // Whoever refuses a query is led astray by nothing in it.
      return reading === null ? [] : [[by, reading(name)] as const]
    })
    const [[, value] = ['', undefined]] = readings
    const isOne = readings.every(([, other]) => other === value)
    demand(isOne && ['string', 'undefined'].includes(typeof value), name, 'is read as', readings)
    if (typeof value === 'string') named[name] = value
  }
  demand(named['copilotSession'] === undefined, 'copilotSession goes on')
  return named
}

function agrees(named: Named, one: Proven): boolean {
  const same = (name: (typeof idNames)[number]): boolean =>
    named[name] === undefined || named[name] === one[name]
  return same('userId') && same('sessionId') && (one.URLToken === null || same('URLToken'))
}

/** No server may find a segment to skip or to climb by, however it reads `;` and how often it decodes. */
function pathLeadsAlike(path: string): void {
  const seen = new URL(`http://h${path}`)
  demand(seen.host === 'h', path, 'leads to', seen.host)
  const decoded = decodeURIComponent(path)
  demand(decodeURIComponent(seen.pathname) === decoded, path, 'is', seen.pathname)
  const twice = decoded.replace(/%(?:2e|2f|5c|3b)/gi, decodeURIComponent)
  for (const reading of [path, decoded, twice]) {
    const segments = reading.split('/').map((segment) => segment.replace(/;.*/, ''))
    demand(segments.length === path.split('/').length, path, 'has the segments', segments)
    demand(!segments.some((segment) => /^\.\.?$|[\\\0]/.test(segment)), path, 'climbs', segments)
  }
}

const neverForwarded =
  /^(?:expect|http2-settings|keep-alive|proxy-.*|te|trailer|x-http-method(?:-override)?|x-original-url|x-real-ip|x-rewrite-url)$/
const gatewaysOwn = /^(?:forwarded|host|x-copilot-.*|x-forwarded-.*|x-request-id)$/
const rewritten = /^(?:authorization|cookie|origin|referer)$/
/** Pages, scripts and JSON are asked for whole. */
const ofTheAnswer = /^(?:accept-encoding|range|if-.*)$/
/** Who frames a body, and who keeps a connection, is a matter of each hop. */
const ofTheHop = /^(?:connection|content-length|transfer-encoding|upgrade)$/

/** As CGI and its descendants read names. */
const canonical = (name: string): string => name.toLowerCase().replaceAll('_', '-')

function headersHold({ lines: sent }: Played, lines: readonly Line[], host: string): void {
  const options = sent
    .filter(([name]) => canonical(name) === 'connection')
    .flatMap(([, value]) => value.split(','))
    .map((option) => canonical(option.trim()))
  const others = (all: readonly Line[]): Line[] =>
    all.filter(([rawName]) => {
      const name = canonical(rawName)
      const differs = [rewritten, gatewaysOwn, ofTheHop, ofTheAnswer]
      return !differs.some((names) => names.test(name))
    })
  const kept = others(sent)
    .filter(([rawName]) => !neverForwarded.test(canonical(rawName)))
    .filter(([rawName]) => !options.includes(canonical(rawName)))
    .map(([name, value]) => [name, value.replace(/^[\t ]+|[\t ]+$/g, '')])
  demand(String(others(lines)) === String(kept), others(lines), 'were', kept)

  for (const name of ['host', 'authorization']) {
    demand(valuesOf(sent, name).length < 2, name, 'was sent twice and went on')
  }
  const names = lines.map(([name]) => canonical(name))
  for (const [i, [rawName, value]] of lines.entries()) {
    const name = canonical(rawName)
    const isOurs = gatewaysOwn.test(name) || rewritten.test(name)
    demand(!isOurs || !rawName.includes('_'), rawName, 'is a look-alike')
    demand(!isOurs || names.indexOf(name) === i, rawName, 'goes on twice')
    demand(!rewritten.test(name) || !options.includes(name), rawName, 'is named by Connection')
    if (name === 'referer') demand(/^https?:\/\/[^/?#@]+\/$/.test(value), 'Referer', value)
    if (name === 'origin') demand(value === `http://${host}`, 'Origin', value)
    if (name === 'cookie') demand(!/(?:^|;)\s*__host-copilot-/i.test(value), 'Cookie', value)
  }
  demand(valuesOf(lines, 'host').join() === host, 'Host', lines)
  demand(valuesOf(lines, 'x-forwarded-for').join() === '127.0.0.1', 'X-Forwarded-For', lines)
  demand(valuesOf(lines, 'x-forwarded-proto').join() === 'http', 'X-Forwarded-Proto', lines)
  demand(!names.includes('x-forwarded-port'), 'X-Forwarded-Port', lines)
  for (const name of ['x-forwarded-host', 'forwarded', 'x-request-id']) {
    demand(valuesOf(lines, name).join() !== 'VICTIM' && names.includes(name), name, lines)
  }
}

function answerIsSecured({ lines, audit, body }: Exchanged): void {
  const only = (name: string): string => valuesOf(lines, name).join(' and ')
  const ancestors = only('content-security-policy')
    .split(/;|,| and /)
    .flatMap((directive) => /^\s*frame-ancestors\s+(.*)$/i.exec(directive)?.[1] ?? [])
    .join()
  const isKnown = audit['contactCenter'] !== undefined
  const isFramed = ancestors === 'https://cc.example' || (!isKnown && ancestors === "'none'")
  demand(isFramed, 'frame-ancestors', ancestors, audit)
  demand(only('x-content-type-options') === 'nosniff', lines)
  demand(only('referrer-policy') === 'same-origin', lines)
  demand(only('x-request-id') === audit['requestId'], lines, audit)
  for (const [name, value] of lines) {
    demand(!/^(?:server|x-powered-by|x-frame-options|access-control-.*)$/i.test(name), name)
    demand(!value.includes('workspace'), name, value)
  }
  const secret = /eyJhbGci|__Host-copilot-/i
  demand(!secret.test(JSON.stringify(audit)), 'the log has a secret', audit)
  demand(!secret.test(body), 'the answer has a secret', body)
}

function bearerOf(lines: readonly Line[]): string | undefined {
  const [authorization = ''] = valuesOf(lines, 'authorization')
  return /^bearer[ \t]+([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(authorization)?.[1]
}

import type { LookupAddress } from 'node:dns'
import { isLoopback } from '../forward/frame-ancestors.ts'
import { type Check, type Examined, fail, type Handshake, type Outcome, skip } from './check.ts'
import { groups } from './checks.ts'
import { codeOf, connectPlain, connectSecurely, hostOf, type Place } from './connection.ts'
import { sessionCookie } from './cookies.ts'
import type { Link } from './credentials.ts'
import { createProbe, RateLimited } from './probe.ts'
import { wasLetIn } from './refusals.ts'

export interface Patient {
  /** Origin, and base path if any: no other origin is ever contacted. */
  readonly url: URL
  readonly link: Link | null
  readonly expired: Link | null
  readonly resolve: (host: string) => Promise<readonly LookupAddress[]>
  /** ms, for each request */
  readonly deadline: number
  /** ms since the epoch */
  readonly now: number
}

/** The outcome of one check. Its texts hold no credential and nothing but printable characters. */
export interface Result extends Outcome {
  readonly group: string
  readonly check: Pick<Check, 'id' | 'promise' | 'remedy'>
}

/** Runs all checks, one after the other. Nothing that it asks changes anything. */
export async function* examine(patient: Patient): AsyncGenerator<Result> {
  const examined = await approach(patient)
  for (const [group, checks] of groups) {
    for (const check of checks) {
      const { verdict, seen } = await outcomeOf(check, examined)
      yield { group, check, verdict, seen: presentable(seen, secretsOf(patient, examined)) }
    }
  }
}

/** What has to be known before the first check. */
async function approach(patient: Patient): Promise<Examined> {
  const { url, deadline, now, expired } = patient
  let place: Place = { url, addresses: [], deadline }
  let handshake: Handshake | null = null
  let trouble: string | null = null
  try {
    place = { ...place, addresses: await patient.resolve(hostOf(url)) }
    handshake = await greet(place)
  } catch (error) {
    trouble = troubleOf(error, deadline)
  }
  const secure = url.protocol === 'https:' ? handshake?.problem === null : isLoopback(hostOf(url))
  const noLink = secure
    ? 'needs a signed link: see --help'
    : 'the link is not sent over a connection that others may read'
  const probe = createProbe(place, handshake?.problem === null)
  const known = { place, trouble, handshake, probe, noLink, now }
  return { ...known, link: secure ? patient.link : null, expired: secure ? expired : null }
}

/** The first connection. */
async function greet(place: Place): Promise<Handshake | null> {
  const signal = AbortSignal.timeout(place.deadline)
  if (place.url.protocol === 'http:') {
    const socket = await connectPlain(place, signal)
    socket.destroy()
    return null
  }
  const options = { ALPNProtocols: ['h2', 'http/1.1'] }
  const socket = await connectSecurely(place, options, signal)
  const certificate = socket.getPeerCertificate()
  // Node falls back to the common name, browsers don't.
  const unnamed = certificate.subjectaltname === undefined ? 'no subjectAltName' : null
  const handshake = {
    protocol: String(socket.getProtocol()),
    http2: socket.alpnProtocol === 'h2',
    problem: socket.authorized ? unnamed : String(socket.authorizationError),
    end: new Date(certificate.valid_to),
  }
  socket.destroy()
  return handshake
}

async function outcomeOf(check: Check, examined: Examined): Promise<Outcome> {
  const { trouble, handshake, link, noLink, expired, probe, place } = examined
  if (check.needs !== 'nothing' && trouble !== null) return skip('nothing answers there')
  try {
    switch (check.needs) {
      case 'nothing':
      case 'answers':
        return await check.run(examined)
      case 'tls':
        return handshake === null ? skip('plain HTTP') : await check.run(examined, handshake)
      case 'link':
        return link === null ? skip(noLink) : await check.run(examined, link)
      case 'opened':
        if (link !== null && wasLetIn(probe.answers)) return await check.run(examined, link)
        return skip(link === null ? noLink : 'the link was not let in')
      case 'expired':
        if (expired !== null) return await check.run(examined, expired)
        return skip(link === null ? noLink : 'needs JWT_SECRET: see --user')
      case 'session': {
        const cookie = sessionCookie(probe.answers)
        if (cookie !== null) return await check.run(examined, cookie)
        return skip(link === null ? noLink : 'the link was given no session cookie')
      }
    }
  } catch (error) {
    if (error instanceof RateLimited) {
      return skip('429: too many refusals for this address; run it again in a minute')
    }
    return fail(troubleOf(error, place.deadline))
  }
}

function troubleOf(error: unknown, deadline: number): string {
  const code = codeOf(error)
  return code === 'ABORT_ERR' ? `no answer within ${deadline} ms` : `no answer: ${code}`
}

function secretsOf({ link, expired }: Patient, { probe }: Examined): string[] {
  const cookie = sessionCookie(probe.answers)?.split('=').slice(1).join('=')
  const secrets = [link?.auth, link?.URLToken, expired?.auth, cookie]
  // A shorter one is none, and would black out words.
  return secrets.filter((secret) => secret !== undefined).filter(({ length }) => length >= 8)
}

/** What the other side said made fit for a terminal: without secrets or control characters, and short. */
function presentable(seen: string, secrets: readonly string[]): string {
  return secrets
    .flatMap((secret) => [secret, encodeURIComponent(secret)])
    .reduce((text, secret) => text.replaceAll(secret, '[hidden]'), seen)
    .replace(/eyJ[\w-]*(?:\.[\w-]*)*/g, '[hidden]')
    .replace(/[^\x20-\x7e]/g, '?')
    .slice(0, 300)
}

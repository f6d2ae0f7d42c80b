import { isIPv4 } from 'node:net'
import { domainToASCII } from 'node:url'

/**
 * Reads whitespace- or comma-separated CSP host sources and `'self'`; `'none'` alone is no source.
 * Without a scheme a source means `https:`, or `http:` where its host is loopback (which matches
 * https pages too). The problem names every source that is refused.
 */
export function parseFrameAncestors(
  text: string,
): { readonly sources: readonly string[] } | { readonly problem: string } {
  const written = text.split(/[\s,]+/).filter((source) => source !== '')
  if (written.length === 0) return { problem: "names no source: write 'none' if no page may frame" }
  if (written.length === 1 && written[0]?.toLowerCase() === "'none'") return { sources: [] }
  const sources = new Set<string>()
  const problems = new Set<string>()
  for (const source of written) {
    const parsed = parseSource(source)
    if (typeof parsed === 'string') sources.add(parsed)
    else problems.add(`${JSON.stringify(source.replaceAll('"', ''))} ${parsed.problem}`)
  }
  if (problems.size > 0) return { problem: [...problems].join('; ') }
  return { sources: [...sources] }
}

/**
 * Whether a page of this origin (serialized, RFC 6454 §6.2) matches one of the parsed sources, by
 * the rules that browsers go by (CSP3 §6.7.2.8). `ownOrigin` is what `'self'` stands for.
 */
export function framedBy(
  sources: readonly string[],
  origin: string,
  ownOrigin: string | null,
): boolean {
  const page = URL.parse(origin)
  // WHATWG lets `;`, `,` and quotes into a host: what matches is written into a policy.
  if (page === null || page.origin !== origin || !/^[a-z\d.-]+$/.test(page.hostname)) return false
  return sources.some((source) =>
    source === "'self'" ? matchesSelf(page, ownOrigin) : matchesHost(page, source),
  )
}

/** Finds the few of many parsed sources that may match a page of an origin. */
export function indexSources(sources: Iterable<string>): (origin: string) => readonly string[] {
  const byHost = new Map<string, string[]>()
  for (const source of new Set(sources)) {
    const host = /^https?:\/\/(\*\.)?([^:]+)/.exec(source)
    const name = host === null ? "'self'" : `${host[1] ?? ''}${host[2]}`
    byHost.set(name, [...(byHost.get(name) ?? []), source])
  }
  return (origin) => {
    const labels = URL.parse(origin)?.hostname.split('.') ?? []
    const wildcards = labels.map((_, index) => `*.${labels.slice(index + 1).join('.')}`)
    return ["'self'", labels.join('.'), ...wildcards].flatMap((name) => byHost.get(name) ?? [])
  }
}

/** Whether a host can only be this machine: `localhost`, names below it, 127.0.0.0/8, `::1`. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase()
  return (
    /(?:^|\.)localhost$/.test(name) ||
    (isIPv4(name) && name.startsWith('127.')) ||
    /^(?:::1|\[::1\])$/.test(name)
  )
}

function parseSource(written: string): string | { readonly problem: string } {
  // Compose and Docker's env files hand quotes on.
  if (written.includes('"')) return { problem: 'must stand without double quotes' }
  if (written.includes(';'))
    return { problem: 'holds a semicolon: separate sources by white space or commas' }
  const lower = written.toLowerCase()
  if (lower === "'self'") return "'self'"
  if (lower === "'none'") return { problem: 'must stand alone' }
  if (lower === 'self' || lower === 'none') return { problem: 'must be in single quotes' }

  const scheme = /^([a-z][a-z0-9+.-]*):\/\//.exec(lower)?.[1]
  const bare = scheme === undefined ? written : written.slice(`${scheme}://`.length)
  const authority = bare.replace(/[/?#].*$/s, '')
  const rest = bare.slice(authority.length)
  const bareScheme = scheme === undefined && authority.endsWith(':')
  if (authority === '' || bareScheme || /^\*(?::|$)/.test(authority)) {
    return { problem: 'would let any site frame: name a host' }
  }
  if (rest !== '' && rest !== '/') return { problem: 'must have no path, query or fragment' }
  if (authority.startsWith('[')) return { problem: 'is an IPv6 address, which CSP does not know' }

  const [, wildcard = '', name = '', port] =
    /^(\*\.)?((?:[a-z0-9.-]|\P{ASCII})+)(?::(\*|\d{1,5}))?$/iu.exec(authority) ?? []
  const host = domainToASCII(name)
  // URL parsers read 127.1 and 0x7f.1 as addresses; a browser's CSP parser takes them literally.
  const address = isIPv4(host)
  const aliased = address && (host !== name || wildcard !== '')
  const outOfRange =
    port !== undefined && port !== '*' && !(Number(port) > 0 && Number(port) < 65536)
  if (!/^[a-z0-9-]+(?:\.[a-z0-9-]+)*$/.test(host) || aliased || outOfRange) {
    return { problem: 'is no host source: write https://host, https://*.host or https://host:port' }
  }
  const loopback = isLoopback(host)
  if (wildcard !== '' && !host.includes('.') && !loopback) {
    return { problem: 'covers a whole top-level domain: name the domain below it' }
  }
  const protocol = scheme ?? (loopback ? 'http' : 'https')
  if (protocol !== 'https' && !(protocol === 'http' && loopback)) {
    return { problem: 'must be https (http is for loopback only)' }
  }
  const suffix = port === undefined ? '' : `:${port === '*' ? port : Number(port)}`
  return `${protocol}://${wildcard}${host}${suffix}`
}

function matchesSelf(page: URL, ownOrigin: string | null): boolean {
  const own = ownOrigin === null ? null : URL.parse(ownOrigin)
  if (own === null || own.hostname !== page.hostname || own.port !== page.port) return false
  return own.protocol === page.protocol || (own.protocol === 'http:' && page.protocol === 'https:')
}

function matchesHost(page: URL, source: string): boolean {
  const [, scheme = '', wildcard, host = '', port] =
    /^(https?):\/\/(\*\.)?([^:]+)(?::(.+))?$/.exec(source) ?? []
  // §6.7.2.9: a page may always be safer than the source asks for, never less safe.
  const schemes = scheme === 'http' ? ['http:', 'https:'] : [`${scheme}:`]
  if (!schemes.includes(page.protocol)) return false
  const named = wildcard === undefined ? page.hostname === host : page.hostname.endsWith(`.${host}`)
  if (!named) return false
  // §6.7.2.11: no port means the default one of the page's scheme, which URL leaves out.
  if (port === undefined) return page.port === ''
  return port === '*' || port === (page.port || (page.protocol === 'https:' ? '443' : '80'))
}

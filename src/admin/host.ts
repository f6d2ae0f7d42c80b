import { hostname, networkInterfaces } from 'node:os'
import { isAuthority } from '../access/target.ts'
import { isLoopback } from '../forward/frame-ancestors.ts'

/**
 * Whether a Host header names the listener, on whatever port. A page of somebody else's whose name is
 * made to lead here (DNS rebinding) counts as of one origin with the listener: only its name tells.
 * `listening` is the listener's address or name: a specific one, or one that means all of the machine's.
 */
export function createHostCheck(listening: string): (host: string) => boolean {
  const own = bare(listening)
  if (own === '0.0.0.0' || own === '::') {
    return (host) => names(host, [...loopback, hostname().toLowerCase(), ...addresses()])
  }
  const accepted = isLoopback(own) ? [own, ...loopback] : [own]
  return (host) => names(host, accepted)
}

const loopback = ['127.0.0.1', 'localhost', '::1']

function names(host: string, accepted: readonly string[]): boolean {
  return isAuthority(host) && accepted.includes(bare(host.replace(/:\d+$/, '')))
}

/** Without brackets, and IPv6 as it is written shortest. */
function bare(host: string): string {
  const plain = host.toLowerCase().replace(/^\[|\]$/g, '')
  const url = `http://[${plain}]`
  return URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : plain
}

/** They change while the listener listens. */
function addresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((all = []) =>
    all.map(({ address }) => bare(address)),
  )
}

import { isIPv6 } from 'node:net'

export interface Rate {
  readonly count: number
  /** ms */
  readonly window: number
}

/** Refusals a client address, of which past a rate it gets to hear no more than that it is past it. */
export interface Refusals {
  /** Counts one more; ms until the rate allows the next, or 0 where it allows this one. `now` is ms since the epoch. */
  readonly count: (ip: string, now: number) => number
}

/** What was counted, by network; an address's window ends at `end`. */
export type Counts = Map<string, Count>

interface Count {
  refusals: number
  /** ms since the epoch */
  end: number
}

/** Tells the others of one more of a network's refusals, the `refusals`th known here. */
export type Share = (network: string, refusals: number, window: number) => Promise<Shared | null>

/** What all have counted together, and for how many ms that holds. */
export interface Shared {
  readonly refusals: number
  readonly left: number
}

/** Attackers have many addresses: the oldest counts go first. */
const mostAddresses = 50_000

/** Counts at once, by what is known here; what others have counted is known an answer later. */
export function createRefusals(
  { count: limit, window }: Rate,
  counts: Counts = new Map(),
  share: Share | null = null,
): Refusals {
  async function tell(share: Share, network: string, entry: Count, now: number): Promise<void> {
    const shared = await share(network, entry.refusals, window)
    if (shared === null) return
    entry.refusals = Math.max(entry.refusals, shared.refusals)
    entry.end = now + Math.min(shared.left, window)
  }

  return {
    count(ip, now) {
      const network = networkOf(ip)
      let entry = counts.get(network)
      if (entry === undefined || now >= entry.end) {
        counts.delete(network)
        const [oldest] = counts.size >= mostAddresses ? counts.keys() : []
        if (oldest !== undefined) counts.delete(oldest)
        entry = { refusals: 0, end: now + window }
        counts.set(network, entry)
      }
      entry.refusals += 1
      // Past the rate nothing is told: a flood ends here.
      if (share !== null && entry.refusals <= limit) void tell(share, network, entry, now)
      return entry.refusals > limit ? entry.end - now : 0
    },
  }
}

/** Whoever has one IPv6 address has the 2⁶⁴ beside it. */
function networkOf(ip: string): string {
  if (!isIPv6(ip)) return ip
  const [head = '', tail] = ip.split('%', 1)[0]?.split('::') ?? []
  const groups = head.split(':')
  const missing = tail === undefined ? 0 : 8 - groups.length - tail.split(':').length
  const all = [
    ...groups,
    ...Array<string>(Math.max(missing, 0)).fill('0'),
    ...(tail?.split(':') ?? []),
  ]
  return all
    .slice(0, 4)
    .map((group) => Number.parseInt(group || '0', 16).toString(16))
    .join(':')
}

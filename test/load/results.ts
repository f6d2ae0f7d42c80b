// Made-up results of runs, whose figures agree with each other.
import type { Kind, Latency, Measured, Results, Second } from '../../src/load/results.ts'

/** A run of so many seconds, which is all good unless told otherwise. */
export function resultsOf({
  seconds = 60,
  perSecond = 200,
  failing = () => 0,
  slow = () => 1,
  lag = 0.1,
  changes = {},
}: {
  readonly seconds?: number
  readonly perSecond?: number
  /** Of the steps of a second, 0 to 1. */
  readonly failing?: (at: number) => number
  /** How many times the usual latency. */
  readonly slow?: (at: number) => number
  readonly lag?: number
  readonly changes?: Partial<Results>
} = {}): Results {
  const perKind = { document: 0.05, asset: 0.4, socket: 0.05, join: 0.05, message: 0.45 } as const
  const all: Second[] = Array.from({ length: seconds }, (_, index) => {
    const at = index + 1
    const failed = Math.round(perSecond * failing(at))
    const sockets = Math.min(240, Math.round(perSecond * perKind.socket * at))
    return {
      at,
      agents: Math.ceil(sockets / 2),
      sockets: failing(at) === 1 ? 0 : sockets,
      steps: measured(perSecond, failed, slow(at) * (1 + (at % 7) / 10)),
    }
  })
  const count = sum(all.map(({ steps }) => steps.count))
  const failed = sum(all.map(({ steps }) => steps.failed))
  const slowest = Math.max(0, ...all.map(({ steps }) => steps.latency?.max ?? 0))
  const total = measured(count, failed, slowest / 40, slowest)
  const isDown = failed === count
  const sent = Math.floor(count / 20)
  const attacks = [
    ['an expired token', 'token-expired'],
    ['a token of another secret', 'token-invalid'],
    ['no token', 'token-missing'],
    ['another user than the token’s', 'claim-mismatch'],
    ['another session than the token’s', 'claim-mismatch'],
  ] as const
  const each = Math.floor(sent / attacks.length)
  const kind = (share: number): Measured =>
    measured(Math.round(count * share), Math.round(failed * share), slowest / 40, slowest)
  const kinds: Record<Kind, Measured> = {
    document: kind(perKind.document),
    asset: kind(perKind.asset),
    socket: kind(perKind.socket),
    join: kind(perKind.join),
    message: kind(perKind.message),
    attack: measured(each * attacks.length, isDown ? each * attacks.length : 0, slowest / 60),
  }
  const requests = ([kind]: readonly [string, Measured]): boolean =>
    kind === 'document' || kind === 'asset'
  const answered = sum(
    Object.entries(kinds)
      .filter(requests)
      .map(([, { count, failed }]) => count - failed),
  )
  const answeredEach = isDown ? 0 : each
  const refused = 3 * answeredEach
  const mismatched = 2 * answeredEach
  const lags = measured(count, 0, lag / 6).latency
  return {
    version: '0.1.0',
    target: 'http://127.0.0.1:8080',
    started: '2026-11-20T08:00:00.000Z',
    duration: seconds * 1000,
    interrupted: false,
    plan: {
      duration: `${seconds} s`,
      arrivals: `${perSecond} steps per second`,
      attackers: '5 % of arrivals',
    },
    total,
    kinds,
    percentiles: curve(total),
    seconds: all,
    statuses: {
      agents: tally({ 101: kinds.socket.count - kinds.socket.failed, 200: answered }),
      attackers: tally({ 401: refused, 403: mismatched }),
    },
    failures: tally({ ECONNREFUSED: failed }),
    attacks:
      each === 0
        ? []
        : attacks.map(([name, reason]) => ({
            name,
            reason,
            ...attacksOf(each, isDown ? 0 : each),
          })),
    sockets: {
      opened: kinds.socket.count - kinds.socket.failed,
      peak: Math.max(0, ...all.map(({ sockets }) => sockets)),
      lost: {},
    },
    lag: lags,
    ...changes,
  }
}

/** A run of which all that came from outside says this. */
export function saying(text: string): Results {
  return resultsOf({
    lag: 5,
    changes: {
      version: text,
      target: text,
      started: text,
      plan: { [text]: text },
      statuses: { agents: {}, attackers: { [text]: 1 } },
      failures: { [text]: 1 },
      attacks: [{ name: text, reason: text, ...attacksOf(1, 1) }],
      sockets: { opened: 1, peak: 1, lost: { [text]: 1 } },
    },
  })
}

export function attacksOf(sent: number, refused: number) {
  return { sent, refused, rateLimited: 0, letIn: 0, undecided: sent - refused }
}

/** Half of them take `usual` ms. */
export function measured(count: number, failed: number, usual: number, max = usual * 40): Measured {
  const latency = count > failed ? latencyOf(usual, max) : null
  return { count, failed, latency }
}

function latencyOf(usual: number, max: number): Latency {
  return {
    min: usual / 2,
    mean: usual * 1.3,
    p50: usual,
    p90: usual * 2,
    p99: usual * 6,
    p999: usual * 15,
    max,
  }
}

function curve({ latency }: Measured): Results['percentiles'] {
  if (latency === null) return []
  const at = [
    [0, latency.min],
    [50, latency.p50],
    [90, latency.p90],
    [99, latency.p99],
    [99.9, latency.p999],
    [99.99, latency.max],
    [99.999, latency.max],
  ] as const
  return at.map(([percentile, latency]) => ({ percentile, latency }))
}

function tally(counts: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0))
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

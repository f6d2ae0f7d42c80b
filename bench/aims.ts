// What the figures have to come to, each as a ratio within one run.
import type { Results } from './measure.ts'
import type { PeerId } from './peers.ts'
import type { ScenarioId, Turn } from './scenarios.ts'
import { ratios, shown, spread } from './statistics.ts'

interface Aim {
  readonly what: string
  readonly most: number
  readonly stretch?: number
  readonly figure: Figure
  readonly of: Figure
}

interface Figure {
  readonly scenario: ScenarioId
  readonly peer: PeerId
  readonly read: (turn: Turn) => number
}

export interface Verdict {
  readonly what: string
  readonly ratio: string
  readonly aim: string
  readonly stretch: string
  readonly verdict: string
}

export const cpu = ({ cpu }: Turn): number => cpu
export const bothCpu = ({ cpu, upstreamCpu }: Turn): number => cpu + upstreamCpu
/** µs */
export const p99 = ({ latency }: Turn): number => latency?.p99 ?? Number.NaN

const titles = { documents: 'documents', assets: 'sub-resources' } as const

const aims: readonly Aim[] = [
  ...(['documents', 'assets'] as const).flatMap((scenario): Aim[] => {
    const against = (peer: PeerId, name: string, most: number, stretch: number): Aim => ({
      what: `${titles[scenario]}: CPU, of ${name}’s`,
      most,
      stretch,
      figure: { scenario, peer: 'gateway', read: cpu },
      of: { scenario, peer, read: cpu },
    })
    return [
      against('http-proxy', 'bare @fastify/http-proxy', 0.75, 0.6),
      against('node-http', 'bare node:http and undici', 1.4, 1.1),
      against('haproxy', 'HAProxy', 2.8, 2),
      {
        what: `${titles[scenario]}, as many as it can: p99, of bare node:http and undici’s`,
        most: 1,
        figure: { scenario, peer: 'gateway', read: p99 },
        of: { scenario, peer: 'node-http', read: p99 },
      },
    ]
  }),
  {
    what: 'both at one pace: p99, of bare node:http and undici’s',
    most: 1,
    figure: { scenario: 'paced', peer: 'gateway', read: p99 },
    of: { scenario: 'paced', peer: 'node-http', read: p99 },
  },
  {
    what: 'refusals: CPU, of an allowed request’s',
    most: 0.4,
    figure: { scenario: 'refusals', peer: 'gateway', read: cpu },
    of: { scenario: 'documents', peer: 'gateway', read: cpu },
  },
  {
    what: 'a page load: CPU with the workspace’s, of HAProxy’s',
    most: 0.8,
    figure: { scenario: 'page', peer: 'gateway', read: bothCpu },
    of: { scenario: 'page', peer: 'haproxy', read: bothCpu },
  },
]

/** Each aim of which both sides were measured. */
export function judge(results: Results): Verdict[] {
  return aims.flatMap(({ what, figure, of, most, stretch }) => {
    const [own, other] = [figure, of].map(({ scenario, peer, read }) =>
      (results.get(scenario)?.get(peer) ?? []).map(read),
    )
    return judged(what, ratios(own ?? [], other ?? []), most, stretch)
  })
}

/** Of no ratios no verdict. */
export function judged(
  what: string,
  all: readonly number[],
  most: number,
  stretch?: number,
): Verdict[] {
  const ratio = spread(all)?.median
  if (ratio === undefined) return []
  const reached = stretch !== undefined && ratio <= stretch
  return [
    {
      what,
      ratio: shown(all, 2),
      aim: `≤ ${most}`,
      stretch: stretch === undefined ? '' : `≤ ${stretch}`,
      verdict: ratio > most ? 'not met' : reached ? 'met, with the stretch' : 'met',
    },
  ]
}

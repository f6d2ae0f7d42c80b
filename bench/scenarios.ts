// What every peer is put through.
import type { PeerId } from './peers.ts'
import { ids, peerIds, peers } from './peers.ts'
import type { Package } from './programs.ts'
import {
  type Chat,
  documentOf,
  documents,
  forged,
  hashedSubResources,
  pageLoads,
  subResources,
  uploads,
  visits,
} from './requests.ts'
import { assets, rewrittenPage } from './site.ts'
import { closeAll, converse, hearEvents, openSockets, openStreams } from './sockets.ts'
import { wrk } from './wrk.ts'

export interface Scenario {
  readonly title: string
  /** What is counted. */
  readonly unit: string
  /** Who hands out what: nginx, where it only has to be files. */
  readonly upstream: 'files' | 'program'
  readonly needs: readonly Package[]
  readonly peers: readonly PeerId[]
  /** How long a turn is, in seconds. */
  readonly seconds: number
  readonly turn: (stage: Stage) => Promise<Turn>
}

/** One peer's share of a round. */
export interface Stage {
  readonly port: number
  readonly seconds: number
  readonly chats: readonly Chat[]
  /** The file of these requests, which is written once. */
  readonly keep: (name: string, requests: () => readonly string[]) => string
  /** Adds what the processes took meanwhile. */
  readonly measure: (work: () => Promise<Counted>) => Promise<Turn>
}

export interface Counted {
  readonly count: number
  readonly seconds: number
  /** µs from request to answer; null where nobody waits for one. */
  readonly latency: { readonly p50: number; readonly p99: number; readonly p999: number } | null
}

export interface Turn {
  /** µs of the measured server's processor time for one of what is counted. */
  readonly cpu: number
  /** The same of the workspace's. */
  readonly upstreamCpu: number
  /** How many a second. */
  readonly rate: number
  readonly latency: Counted['latency']
  /** MB that the measured server's memory was at most. */
  readonly peak: number
}

const uploadSize = 2 ** 20
const streams = 100
const talkers = 50
/** Enough to compare with, where only the gateway does anything else. */
const few: readonly PeerId[] = ['gateway', 'http-proxy', 'node-http', 'haproxy']

export const scenarios = {
  documents: overHttp('Documents with a token', documents),
  refusals: {
    ...overHttp('Refusals: a forged signature', (chats) => documents(forged(chats)), {
      refused: true,
    }),
    peers: peerIds.filter((id) => peers[id].checks),
    seconds: 1,
  },
  rewritten: {
    ...overHttp(
      'Documents that name config.js, into which the gateway signs a parameter',
      (chats) => chats.map((chat) => documentOf(chat, rewrittenPage.path)),
    ),
    peers: few,
    seconds: 1,
  },
  assets: overHttp('Sub-resources with a cookie, fetched each time', subResources),
  hashed: {
    ...overHttp(
      'The same under a hashed name, which the gateway keeps in memory',
      hashedSubResources,
    ),
    peers: few,
    seconds: 1,
  },
  page: {
    ...overHttp('A page load: a document and 20 assets', (chats) => pageLoads(chats.slice(0, 50)), {
      requests: 1 + assets.length,
    }),
    unit: 'page',
  },
  paced: {
    ...overHttp('Documents and sub-resources at one pace, about 2,000 a second', visits, {
      pause: 60,
    }),
    seconds: 3,
  },
  uploads: {
    ...overHttp('Uploads of 1 MB', (chats) => uploads(chats.slice(0, 8), uploadSize), {
      connections: 8,
    }),
    unit: 'upload',
    upstream: 'program',
    seconds: 1,
  },
  events: {
    title: `Event streams: an event of 200 bytes every 10 ms on each of ${streams}`,
    unit: 'event',
    upstream: 'program',
    needs: [],
    peers: peerIds,
    seconds: 1,
    async turn({ port, seconds, chats: [chat], measure }) {
      if (chat === undefined) throw new Error('no chat')
      const open = await openStreams(port, chat, streams)
      const turn = await measure(async () => ({
        count: await hearEvents(open, seconds),
        seconds,
        latency: null,
      }))
      closeAll(open)
      return turn
    },
  },
  messages: overSockets('WebSocket messages of 200 bytes, with their answer', '/ws', peerIds),
  channel: overSockets(
    'The same on Copilot’s channel, where the gateway reads them',
    '/socket.io/',
    few,
  ),
} as const satisfies Readonly<Record<string, Scenario>>

export type ScenarioId = keyof typeof scenarios

export const scenarioIds: readonly ScenarioId[] = ids(scenarios)

function overHttp(
  title: string,
  requests: (chats: readonly Chat[]) => readonly string[],
  options: {
    readonly refused?: boolean
    readonly connections?: number
    /** The longest that a connection waits with its next request, in ms. */
    readonly pause?: number
    /** How many make one of what is counted. */
    readonly requests?: number
  } = {},
): Scenario {
  const { refused = false, connections = 64, pause = 0, requests: perUnit = 1 } = options
  return {
    title,
    unit: 'request',
    upstream: 'files',
    needs: ['wrk'],
    peers: peerIds,
    seconds: 2,
    async turn({ port, seconds, chats, keep, measure }) {
      const file = keep(title, () => requests(chats))
      return await measure(async () => {
        const answered = await wrk({ file, connections, seconds, port, pause })
        const expected = refused ? answered.requests : 0
        if (answered.refused !== expected || answered.failed > 0 || answered.requests === 0) {
          throw new Error(`${title}: unexpected answers: ${JSON.stringify(answered)}`)
        }
        const { p50, p99, p999 } = answered
        return {
          count: answered.requests / perUnit,
          seconds: answered.seconds,
          latency: { p50, p99, p999 },
        }
      })
    },
  }
}

function overSockets(title: string, path: string, peers: readonly PeerId[]): Scenario {
  return {
    title,
    unit: 'message',
    upstream: 'program',
    needs: [],
    peers,
    seconds: 1,
    async turn({ port, seconds, chats: [chat], measure }) {
      if (chat === undefined) throw new Error('no chat')
      const open = await openSockets(port, chat, path, talkers)
      const turn = await measure(async () => {
        const start = performance.now()
        const over = start + seconds * 1000
        const count = await converse(open, chat, () => performance.now() < over)
        return { count, seconds: (performance.now() - start) / 1000, latency: null }
      })
      closeAll(open)
      return turn
    },
  }
}

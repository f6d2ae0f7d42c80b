/** What a step of an agent, or an attack, is. */
export type Kind =
  /** The link: the document with its token. */
  | 'document'
  /** Scripts, styles and `config.js`, with the cookie. */
  | 'asset'
  /** From the handshake to the answer to the socket.io CONNECT; once more, failed, where it is lost. */
  | 'socket'
  /** From `join` to its acknowledgement. */
  | 'join'
  /** From a message to the answer to a ping right behind it: Copilot acknowledges no message. */
  | 'message'
  /** A request that has to be refused. */
  | 'attack'

/** Of one kind, in some span of time. Latencies in ms, from when the step was due. */
export interface Measured {
  readonly count: number
  /** No answer, or not the one that was due. */
  readonly failed: number
  /** null where there was none. */
  readonly latency: Latency | null
}

export interface Latency {
  readonly min: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

/** One second of a run. */
export interface Second {
  /** Seconds since the run began. */
  readonly at: number
  readonly steps: Measured
  readonly agents: number
  readonly sockets: number
}

/** Attacks of one kind. */
export interface Attacks {
  readonly name: string
  /** The gateway's reason for the refusal that they deserve, as its log has it. */
  readonly reason: string
  readonly sent: number
  /** With the status or close code that they deserve. */
  readonly refused: number
  /** Refused with 429, before they were looked at. */
  readonly rateLimited: number
  readonly letIn: number
  /** No answer, or one that is none of these. */
  readonly undecided: number
}

export interface Results {
  readonly version: string
  /** An origin, never more. */
  readonly target: string
  /** ISO 8601 */
  readonly started: string
  /** ms */
  readonly duration: number
  /** Whether it was ended before its time. */
  readonly interrupted: boolean
  /** What was asked for, as names and values to show. */
  readonly plan: Readonly<Record<string, string>>
  /** All kinds but attacks together. */
  readonly total: Measured
  readonly kinds: Readonly<Record<Kind, Measured>>
  /** Latency in ms at each percentile of `total`, for the curve: 0 to 99.999. */
  readonly percentiles: readonly { readonly percentile: number; readonly latency: number }[]
  readonly seconds: readonly Second[]
  /** How many answers had which status, of agents and of attackers. */
  readonly statuses: Readonly<Record<'agents' | 'attackers', Readonly<Record<string, number>>>>
  /** Why steps failed: an error's code, a status that was not due, a close code with its reason. */
  readonly failures: Readonly<Record<string, number>>
  /** By what was wrong with them. */
  readonly attacks: readonly Attacks[]
  readonly sockets: {
    readonly opened: number
    readonly peak: number
    /** Closed by the other side while the agent was there: code and reason, and how often. */
    readonly lost: Readonly<Record<string, number>>
  }
  /** How late this machine itself began its steps, in ms: past some, the figures are its own. */
  readonly lag: Latency | null
}

import type { Place } from './connection.ts'
import type { Link } from './credentials.ts'
import type { Probe } from './probe.ts'

export type Verdict = 'pass' | 'fail' | 'warn' | 'skipped'

export interface Outcome {
  readonly verdict: Verdict
  /** What was seen, or why nothing was looked at. May quote the other side: reports clean it first. */
  readonly seen: string
}

/** One gateway, as far as it is known before the first check. */
export interface Examined {
  readonly place: Place
  /** Why nothing answers there at all; null where something does. */
  readonly trouble: string | null
  readonly handshake: Handshake | null
  readonly probe: Probe
  /** A link that may be sent there; null for none, and `noLink` says why. */
  readonly link: Link | null
  readonly noLink: string
  /** The same link long ended, where the secret was at hand to make one. */
  readonly expired: Link | null
  /** Milliseconds since the epoch. */
  readonly now: number
}

/** What the first TLS connection showed. */
export interface Handshake {
  readonly protocol: string
  readonly http2: boolean
  /** OpenSSL's word for what is wrong with the certificate; null for nothing. */
  readonly problem: string | null
  /** When the certificate ends. */
  readonly end: Date
}

type Judged = Outcome | Promise<Outcome>

interface Described {
  /** What reports, scripts and the documentation call it. */
  readonly id: string
  /** What holds where it passes, in one sentence. */
  readonly promise: string
  /** What to do where it does not. */
  readonly remedy: string
}

/** One thing to look at; `needs` is what has to be there for it, and is handed to `run`. */
export type Check = Described &
  (
    | { readonly needs: 'nothing' | 'answers'; readonly run: (examined: Examined) => Judged }
    | {
        readonly needs: 'tls'
        readonly run: (examined: Examined, handshake: Handshake) => Judged
      }
    | {
        /** `opened`: a link that was let in. `expired`: one that has ended. */
        readonly needs: 'link' | 'opened' | 'expired'
        readonly run: (examined: Examined, link: Link) => Judged
      }
    /** The session cookie that the link was given, as `name=value`. */
    | { readonly needs: 'session'; readonly run: (examined: Examined, cookie: string) => Judged }
  )

export function pass(seen: string): Outcome {
  return { verdict: 'pass', seen }
}

export function fail(seen: string): Outcome {
  return { verdict: 'fail', seen }
}

export function warn(seen: string): Outcome {
  return { verdict: 'warn', seen }
}

export function skip(seen: string): Outcome {
  return { verdict: 'skipped', seen }
}

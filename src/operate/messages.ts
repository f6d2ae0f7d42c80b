import type { Report } from '../observe/observations.ts'
import type { Source } from '../settings/source.ts'
import type { Revocation } from '../state/revocations.ts'

/** What the primary tells a worker. `id`: of the answer that is waited for. */
export type Order =
  | {
      readonly order: 'serve'
      readonly id: number
      readonly source: Source
      readonly revocations: readonly Revocation[]
    }
  | { readonly order: 'reload'; readonly id: number; readonly source: Source }
  | { readonly order: 'reloaded'; readonly problems: readonly string[] }
  | { readonly order: 'hear'; readonly revocation: Revocation }
  | { readonly order: 'report'; readonly id: number; readonly withMetrics: boolean }
  | { readonly order: 'drain' | 'close' }

/** What a worker tells the primary. */
export type Word =
  | { readonly word: 'ready' }
  | { readonly word: 'done'; readonly id: number; readonly addresses: readonly string[] }
  /** `code` is a system error's. */
  | { readonly word: 'failed'; readonly id: number; readonly code: string | null }
  | { readonly word: 'report'; readonly id: number; readonly report: Report; readonly scope: Scope }
  | { readonly word: 'revoked'; readonly revocation: Revocation }

type Scope = 'process' | 'workers' | 'replicas'

/** Tokens that open one session only. */
export interface UsedTokens {
  /**
   * Uses up a token. `id` names it, `until` is when it ends in ms since the epoch, null: never.
   * 'unreachable': nobody could tell.
   */
  readonly use: (id: string, until: number | null) => Promise<'first' | 'used' | 'unreachable'>
}

export function createUsedTokens(): UsedTokens {
  const used = new Map<string, number | null>()
  return {
    async use(id, until) {
      const now = Date.now()
      for (const [other, end] of used) if (end !== null && end <= now) used.delete(other)
      if (used.has(id)) return 'used'
      used.set(id, until)
      return 'first'
    },
  }
}

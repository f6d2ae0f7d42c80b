// A short run of load, in this process.
import { runLoad } from '../../src/load/run.ts'
import type { Plan } from '../../src/load/schedule.ts'
import { createMint } from '../../src/load/tickets.ts'
import { ids, secret } from '../stage.ts'

/** Two chats of one agent, each with some messages. */
const plan: Plan = {
  agents: 1,
  rate: 0.001,
  duration: 500,
  ramp: 0,
  chats: 2,
  pause: 100,
  attackers: 0,
}

export type Found = Awaited<ReturnType<typeof runLoad>>

export function play(
  origin: string,
  changes: Partial<Plan> = {},
  more: Partial<Parameters<typeof runLoad>[0]> = {},
): Promise<Found> {
  const url = new URL(origin)
  const addresses = [{ address: '127.0.0.1', family: 4 }]
  return runLoad({
    target: { url, addresses, deadline: 10_000 },
    plan: { ...plan, ...changes },
    mint: createMint({
      baseUrl: url,
      secret: Buffer.from(secret),
      urlToken: ids.URLToken,
      lasts: 600_000,
    }),
    signal: new AbortController().signal,
    onSecond: () => {},
    ...more,
  })
}

/** The same at a gateway. One whose process stood still for a second lets nobody in: then it is another's turn. */
export async function playAt<Gateway extends { readonly origin: string }>(
  start: () => Promise<Gateway>,
  changes: Partial<Plan> = {},
): Promise<{ readonly gateway: Gateway; readonly found: Found }> {
  for (let tries = 1; ; tries += 1) {
    const gateway = await start()
    const found = await play(gateway.origin, changes)
    const overloaded = Object.keys(found.failures).some((why) => why.startsWith('503'))
    if (!overloaded || tries === 5) return { gateway, found }
  }
}

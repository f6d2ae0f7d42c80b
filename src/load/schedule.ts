/** What is asked of a run. Times in ms. */
export interface Plan {
  /** At work at once, between the ramps. */
  readonly agents: number
  /** How many of them are replaced a second, between the ramps. */
  readonly rate: number
  readonly duration: number
  /** How long the first take to arrive, and the last to leave. */
  readonly ramp: number
  /** Of each agent. */
  readonly chats: number
  /** Between two messages of a chat. */
  readonly pause: number
  /** The share of attacks among the links that are opened, below 1. */
  readonly attackers: number
}

/** When an agent is at work, in ms since the run began. */
export interface Shift {
  readonly arrives: number
  readonly leaves: number
}

/** All shifts in the order of their arrival. Who came first leaves first. */
export function shiftsOf({ agents, rate, duration, ramp }: Plan): readonly Shift[] {
  const gap = 1000 / rate
  const steady = duration - 2 * ramp
  const replaced = every(gap, ramp + gap, Math.max(0, Math.ceil(steady / gap) - 1))
  const arrivals = [...every(ramp / agents, 0, agents), ...replaced]
  const departures = [...replaced, ...every(ramp / agents, duration - ramp, agents)]
  return arrivals.map((arrives, i) => ({ arrives, leaves: departures[i] ?? duration }))
}

/** When a chat of a shift is opened: those of one agent say their messages in turn, where it is long enough for that. */
export function chatsOf({ arrives, leaves }: Shift, { chats, pause }: Plan): readonly number[] {
  return every(Math.min(pause, leaves - arrives) / chats, arrives, chats)
}

/** When attacks are due: evenly, and as many as there are kinds of them at least. */
export function attacksOf(plan: Plan, kinds: number): readonly number[] {
  const { attackers, duration } = plan
  if (attackers === 0) return []
  const links = shiftsOf(plan).flatMap((shift) => chatsOf(shift, plan)).length
  const count = Math.max(kinds, Math.round((links * attackers) / (1 - attackers)))
  return every(duration / count, duration / count / 2, count)
}

function every(gap: number, from: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => from + i * gap)
}

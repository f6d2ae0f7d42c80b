import { pathAt } from '../doctor/credentials.ts'
import { type Attacker, attacks, type Outcome } from './attacks.ts'
import { Failure } from './failure.ts'
import { type Stage, step } from './stage.ts'

/** Tries the attack whose turn it is. */
export async function playAttacker(stage: Stage, due: number, turn: number): Promise<void> {
  const attack = attacks[turn % attacks.length]
  if (attack === undefined) return
  const { target, tally, mint } = stage
  const { name, reason, act } = attack
  const browser = stage.enter()
  const forge: Attacker['forge'] = (made) => mint(`attacker-${turn}`, 0, made)
  tally.attacked(name, reason)
  const prepare: Attacker['prepare'] = ({ path, headers = {}, upgrade }) => {
    const ask = upgrade ? browser.upgrade : browser.get
    return ask(pathAt(target.url, path), headers)
  }
  let outcome: Outcome | 'undecided' = 'undecided'
  await step(stage, 'attack', due, async () => {
    outcome = await act({
      ticket: forge({}),
      forge,
      prepare,
      async ask(asked) {
        const answer = await prepare(asked)
        tally.status('attackers', answer.status)
        return answer
      },
      origin: target.url.origin,
      patience: target.deadline,
    })
    if (outcome === 'let in') throw new Failure('attack let in')
  })
  tally.ended(name, outcome)
  await browser.cut()
}

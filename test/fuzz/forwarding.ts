// Whatever is let in: what goes on is what was checked, to every back end.
import fc from 'fast-check'
import { decide } from '../../src/access/access.ts'
import { createGate } from '../stage.ts'
import { holds, isWhatCame, leadsAlike, readByAll } from './promises.ts'
import { property } from './property.ts'
import { bytesOf, factsOf, keyOf, type Played, requests } from './requests.ts'
import { startWire } from './wire.ts'

const now = Date.UTC(2026, 5, 1)

/** The decision alone: no socket, so many cases. */
export const decided = property(
  'decided',
  'every back end reads what was decided on',
  4000,
  async () => {
    const gate = await createGate()
    return {
      cases: requests(keyOf(gate)),
      judge(played) {
        const decision = decide(factsOf(played, false), gate, now)
        if (!decision.allow) return decision.reason
        const [path = '', ...query] = played.target.split('?')
        if (decision.path !== path) throw new Error(`${decision.path} was ${path}`)
        leadsAlike(path)
        isWhatCame(decision.query, query.join('?'))
        const named = readByAll(decision.query, played.carried)
        for (const name of ['userId', 'sessionId'] as const) {
          const subject = decision.subject[name]
          if (subject !== null && named[name] !== undefined && named[name] !== subject) {
            throw new Error(`${name} is ${named[name]}, decided as ${subject}`)
          }
        }
        return 'allow'
      },
    }
  },
)

/** The whole gateway, raw bytes in and raw bytes out. */
export const forwarded = property(
  'forwarded',
  'the workspace gets one request, the one that was checked, and nothing of the gateway’s',
  700,
  async (scope) => {
    const gate = await createGate()
    const plain = { basePath: '', forwardAuth: true, identityHeaders: false }
    const other = { basePath: '/base', forwardAuth: false, identityHeaders: true }
    const stages = [
      { settings: plain, wire: await startWire(scope) },
      {
        settings: other,
        wire: await startWire(scope, other.basePath, {
          FORWARD_AUTH: 'false',
          IDENTITY_HEADERS: 'true',
        }),
      },
    ]
    return {
      cases: fc.tuple(requests(keyOf(gate)), fc.constantFrom(...stages.keys())),
      async judge([played, index]: [Played, number]) {
        const stage = stages[index]
        if (stage === undefined) throw new Error('no stage')
        const { wire, settings } = stage
        const exchanged = await wire.send(bytesOf(played, wire.host))
        const allowed = holds(played, exchanged, wire, settings)
        return allowed ? 'allow' : String(exchanged.audit[0]?.['reason'])
      },
    }
  },
)

import t from 'tap'
import { openSession, type Session, unproven } from '../../src/access/session.ts'
import { createRevocations, isRevokedBy, type Revoked } from '../../src/state/revocations.ts'
import { createGate, ids } from '../stage.ts'
import { stopClock } from '../websocket/peer.ts'

const gate = await createGate()
const hour = 3_600_000

function session(changes: Readonly<Record<string, string>> = {}, at = Date.now()): Session {
  const [key] = gate.keyring.keys
  if (key === undefined) throw new Error('no key')
  return openSession(key, { ...ids, ...changes }, null, gate.sessions, at)
}

const { userId, sessionId } = ids
const nobody: Revoked = { contactCenter: null, userId: null, sessionId: null }

t.test('a revocation ends the sessions that it names', (t) => {
  const rows: readonly (readonly [string, Partial<Revoked>, boolean])[] = [
    ['its session', { sessionId }, true],
    ['its user', { userId }, true],
    ['its contact center', { contactCenter: 'default' }, true],
    ['its user’s session', { userId, sessionId }, true],
    ['all three', { contactCenter: 'default', userId, sessionId }, true],
    ['everyone', {}, true],
    ['another session', { sessionId: 'session-2' }, false],
    ['another user', { userId: 'agent-8' }, false],
    ['another user’s session of this id', { userId: 'agent-8', sessionId }, false],
    ['another contact center', { contactCenter: 'sales', userId }, false],
    ['the user’s id as a session', { sessionId: userId }, false],
  ]
  for (const [name, changes, expected] of rows) {
    const revocations = createRevocations()
    const revocation = {
      ...nobody,
      ...changes,
      before: Number.POSITIVE_INFINITY,
      until: Date.now() + hour,
    }
    revocations.add(revocation)
    t.equal(revocations.has(session(), Date.now()), expected, name)
    t.equal(isRevokedBy(revocation, session()), expected, name)
    t.equal(revocations.has(session(), Date.now() + hour), false, `${name}, until it is forgotten`)
  }
  t.end()
})

t.test('what is claimed without proof may be of whomever it leaves open', (t) => {
  type Claim = readonly [userId: string | null, sessionId: string | null]
  const rows: readonly (readonly [string, Partial<Revoked>, readonly Claim[], boolean])[] = [
    [
      'a user',
      { userId },
      [
        [userId, null],
        [null, sessionId],
        [userId, 'x'],
      ],
      true,
    ],
    [
      'a session',
      { sessionId },
      [
        [userId, null],
        [null, sessionId],
        ['x', sessionId],
      ],
      true,
    ],
    [
      'both',
      { userId, sessionId },
      [
        [userId, null],
        [null, sessionId],
      ],
      true,
    ],
    [
      'both, and another',
      { userId, sessionId },
      [
        ['x', null],
        [null, 'x'],
        ['x', sessionId],
      ],
      false,
    ],
    ['a contact center', { contactCenter: 'default' }, [[null, null]], true],
    ['nobody’s', { userId }, [[null, null]], false],
    ['nobody’s session', { sessionId }, [[null, null]], false],
    ['another contact center’s', { contactCenter: 'sales', userId }, [[null, sessionId]], false],
  ]
  for (const [name, changes, claims, expected] of rows) {
    const before = Number.POSITIVE_INFINITY
    const revocation = { ...nobody, ...changes, before, until: Date.now() + hour }
    const revocations = createRevocations()
    revocations.add(revocation)
    for (const [userId, sessionId] of claims) {
      const session = unproven('default', { userId, sessionId }, Date.now())
      const what = `${name}: ${userId}, ${sessionId}`
      t.equal(revocations.has(session, Date.now()), expected, what)
      t.equal(isRevokedBy(revocation, session), expected, what)
    }
  }
  t.end()
})

t.test('a logout ends what was opened before it', (t) => {
  const now = Date.now()
  const revocations = createRevocations()
  revocations.add({ ...nobody, userId, before: now, until: now + hour })
  t.equal(revocations.has(session({}, now - 1), now), true)
  t.equal(revocations.has(session({}, now), now), false)
  revocations.add({ ...nobody, userId, before: now - 10, until: now + 2 * hour })
  t.equal(revocations.has(session({}, now - 1), now + hour), true, 'a later one takes nothing back')
  t.end()
})

t.test('what is over is forgotten', (t) => {
  const forward = stopClock(t)
  const revocations = createRevocations()
  const end = (id: string): unknown =>
    revocations.add({
      ...nobody,
      userId: id,
      before: Number.POSITIVE_INFINITY,
      until: Date.now() + hour,
    })
  end(userId)
  forward(hour)
  end('agent-8')
  t.equal(revocations.has(session(), Date.now() - hour), false, 'to make room')
  t.equal(revocations.has(session({ userId: 'agent-8' }), Date.now()), true)
  t.end()
})

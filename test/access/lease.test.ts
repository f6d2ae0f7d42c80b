import t from 'tap'
import { Lease } from '../../src/access/lease.ts'
import { openSession, type Session } from '../../src/access/session.ts'
import { createGate, ids } from '../stage.ts'

const now = Date.UTC(2026, 0, 1)
const gate = await createGate()
const sales = await createGate(undefined, {}, 'sales')

function session(
  changes: Readonly<Record<string, string>> = {},
  lasts = 60_000,
  by = gate,
): Session {
  const [key] = by.keyring.keys
  if (key === undefined) throw new Error('no key')
  return openSession(key, { ...ids, ...changes }, now + lasts, gate.sessions, now)
}

const named = (changes: Readonly<Record<string, string>>) => ({
  userId: null,
  sessionId: null,
  URLToken: null,
  ...changes,
})

t.test('it ends with the last of its sessions', (t) => {
  t.equal(new Lease([session()]).end, now + 60_000)
  t.equal(new Lease([session(), session({ sessionId: 'b' }, 90_000)]).end, now + 90_000)
  t.equal(new Lease([]).end, Number.POSITIVE_INFINITY, 'without one, never')
  t.end()
})

t.test('it belongs to a session as soon as it can only be that one', (t) => {
  const lease = new Lease([session(), session({ sessionId: 'b' }, 90_000)])
  t.equal(lease.session, null)
  t.equal(lease.narrow(named({ userId: 'agent-8' })), false)
  t.equal(lease.session, null, 'nothing changed')
  t.equal(lease.narrow(named({ userId: ids.userId })), true)
  t.equal(lease.session, null, 'both are of this user')
  t.equal(lease.narrow(named({ sessionId: ids.sessionId })), true)
  t.equal(lease.session?.sessionId, ids.sessionId)
  t.equal(lease.end, now + 60_000, 'and ends with it')
  t.equal(lease.narrow(named({ sessionId: 'b' })), false)
  t.equal(lease.belongTo(session({ sessionId: 'b' })), false)
  t.equal(lease.belongTo(session()), true)

  const longer = session({}, 90_000)
  t.equal(
    new Lease([session(), longer, session()]).session,
    longer,
    'of several proofs the longest',
  )
  const centers = new Lease([session(), session({}, 60_000, sales)])
  t.equal(centers.session, null, 'two contact centers may use the same ids')
  t.equal(new Lease([session(), session({ URLToken: 'b' })]).session, null, 'and two URLTokens')
  t.end()
})

t.test('a renewed session lasts longer, never less', (t) => {
  const lease = new Lease([session(), session({ sessionId: 'b' })])
  lease.renew(session({}, 90_000))
  t.equal(lease.end, now + 90_000)
  lease.renew(session({}, 30_000))
  t.equal(lease.end, now + 90_000)
  lease.renew(session({ sessionId: 'c' }, 120_000))
  lease.renew(session({}, 120_000, sales))
  t.equal(lease.end, now + 90_000, 'another’s changes nothing')
  lease.narrow(named({ sessionId: 'b' }))
  t.equal(lease.end, now + 60_000)
  t.end()
})

t.test('it is revoked with the last of its sessions', (t) => {
  const lease = new Lease([session(), session({ sessionId: 'b' })])
  lease.revoke(({ sessionId }) => sessionId === 'c')
  lease.revoke(({ sessionId }) => sessionId === 'b')
  t.equal(lease.revoked, false)
  t.equal(lease.session?.sessionId, ids.sessionId)
  lease.revoke(() => true)
  t.equal(lease.revoked, true)
  t.ok(lease.end < now, 'at once')
  lease.renew(session({}, 90_000))
  t.ok(lease.end < now, 'for good')

  const open = new Lease([])
  open.revoke(() => true)
  t.equal(open.revoked, false, 'what needs no session has none to lose')
  t.end()
})

import { ago, at, count, duration, percent, rate, several } from './words.js'

const day = 86_400_000
const names = { workspace: 'The workspace', backend: 'The backend' }

/** One sentence: is it ready, and how much goes through. `minute`: the bucket of the last minute. */
export function sentence(status, minute) {
  const { allowed, refused, reported, seconds, sockets } = minute
  const all = allowed + refused + reported
  const sums =
    seconds === 0
      ? 'No figures yet.'
      : all === 0
        ? `No requests in the last minute, ${several(sockets, 'socket')} open.`
        : `${rate(all / seconds)} requests/s, ${percent(refused, all)} refused, ${several(sockets, 'socket')} open.`
  return `${readiness(status)} ${sums}`
}

function readiness({ draining, ready }) {
  if (draining) return 'Draining.'
  return ready ? 'Ready.' : 'Not ready.'
}

/**
 * What an operator should know, worst first: `level` is `bad` (agents are kept out, or will be),
 * `doubtful` or `note`; `details` are lines below the text.
 */
export function notices(status) {
  const { now, upstreams, redis, reload, certificate, contactCenters, warnings } = status
  const found = []
  const add = (level, key, text, details = []) => found.push({ level, key, text, details })
  if (status.draining) {
    add('bad', 'draining', 'Draining: no new connections soon, open sockets are being closed.')
  }
  if (status.hanging) add('bad', 'hanging', 'No worker answers: none takes connections.')
  for (const { name, origin, up, since, error } of upstreams) {
    if (up !== false) continue
    const when = since === null ? '' : ` since ${at(since, now)}`
    const why = error === null ? '' : ` (${error})`
    add('bad', name, `${names[name]} ${origin} cannot be reached${when}${why}.`)
  }
  if (redis !== null && !redis.up) {
    add('bad', 'redis', `Redis cannot be reached since ${at(redis.since, now)}.`)
  }
  if (certificate !== null) {
    const left = certificate.expires - now
    if (left <= 0)
      add('bad', 'certificate', `The certificate ended ${ago(certificate.expires, now)}.`)
    else if (left < 14 * day) {
      add(
        left < 3 * day ? 'bad' : 'doubtful',
        'certificate',
        `The certificate ends in ${duration(left)}.`,
      )
    }
  }
  for (const { name, jwks } of contactCenters) {
    if (jwks === null || jwks.up) continue
    const last = jwks.lastSuccess === null ? 'never yet' : `last ${ago(jwks.lastSuccess, now)}`
    add('bad', `jwks ${name}`, `The public keys of ${name} cannot be fetched (${last}).`)
  }
  if (reload !== null && !reload.ok) {
    const text = `The last reload (${at(reload.time, now)}) failed; the settings before it stay.`
    add('doubtful', 'reload', text, reload.problems)
  }
  const reporting = contactCenters.filter(({ enforcement }) => enforcement === 'report')
  if (reporting.length > 0) {
    const some = reporting.slice(0, 5).map(({ name }) => name)
    const more = reporting.length - some.length
    const list = more > 0 ? `${some.join(', ')} and ${count(more)} more` : some.join(', ')
    const verb = reporting.length === 1 ? 'reports' : 'report'
    add(
      'doubtful',
      'report',
      `${several(reporting.length, 'contact center')} only ${verb}: ${list}.`,
    )
  }
  if (status.enforcement === 'report') {
    add(
      'doubtful',
      'report all',
      'What belongs to no contact center is only reported, not refused.',
    )
  }
  if (warnings.length > 0) {
    add('note', 'warnings', `${several(warnings.length, 'setting')} to look at:`, warnings)
  }
  const order = ['bad', 'doubtful', 'note']
  return found.sort((a, b) => order.indexOf(a.level) - order.indexOf(b.level))
}

/** What is so, name and text. */
export function facts(status) {
  const { now, startedAt, version, workers, scope, upstreams, redis, certificate, reload } = status
  const rows = upstreams.map(({ name, origin, up, since }) => [
    name === 'workspace' ? 'Workspace' : 'Backend',
    `${origin}, ${up === null ? 'not asked yet' : up ? 'reachable' : 'unreachable'}${since === null ? '' : ` since ${at(since, now)}`}`,
  ])
  if (redis !== null) {
    rows.push(['Redis', `${redis.up ? 'reachable' : 'unreachable'} since ${at(redis.since, now)}`])
  }
  if (certificate !== null) {
    const left = certificate.expires - now
    rows.push(['Certificate', left > 0 ? `ends in ${duration(left)}` : 'has ended'])
  }
  if (reload !== null) {
    rows.push(['Last reload', `${reload.ok ? 'succeeded' : 'failed'} ${ago(reload.time, now)}`])
  }
  rows.push(['Running', `for ${duration(now - startedAt)}, ${several(workers, 'worker')}`])
  rows.push(['Figures and revocations', scopes[scope].of])
  return { version, rows }
}

/** How far something reaches. */
export const scopes = {
  process: { of: 'of this process', ended: 'in this process' },
  workers: { of: 'of all workers', ended: 'on all workers' },
  replicas: { of: 'of this machine; revocations of all replicas', ended: 'on all replicas' },
}

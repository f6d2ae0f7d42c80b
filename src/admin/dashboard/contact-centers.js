import { byId, element, reconcile, write } from './elements.js'
import { ago, count, duration, several } from './words.js'

const day = 86_400_000
const hour = 3_600_000
/** More rows at once are not read by anyone. */
const shownRows = 25

/** The table of contact centers. */
export function createContactCenters() {
  const search = byId('contact-centers-text')
  const controls = byId('contact-centers-controls')
  const body = byId('contact-centers-rows')
  const empty = byId('contact-centers-empty')
  let status = null

  function draw() {
    if (status === null) return
    const all = status.contactCenters
    const wanted = search.value.trim().toLowerCase()
    const matching = all.filter(({ name, frameAncestors }) =>
      [name, ...frameAncestors].some((text) => text.toLowerCase().includes(wanted)),
    )
    controls.hidden = all.length <= shownRows && search.value === ''
    const left = matching.length - shownRows
    const more = left > 0 ? `; ${shownRows} are shown, search for the others` : ''
    const found = wanted === '' ? '' : `${count(matching.length)} of `
    const states = `${found}${several(all.length, 'contact center')}${more}. Uses are counted since the gateway started, ${duration(status.now - status.startedAt)} ago.`
    write(byId('contact-centers-state'), all.length === 0 ? '' : states)
    empty.hidden = matching.length > 0
    write(
      empty,
      all.length === 0 ? 'No contact center is configured.' : 'No contact center matches.',
    )
    body.parentElement.hidden = matching.length === 0
    reconcile(body, matching.slice(0, shownRows), ({ name }) => name, createRow)
  }

  function createRow({ name }) {
    const cells = ['Enforcement', 'May be framed by', 'URLTokens', 'Keys'].map((label) =>
      element('td', { 'data-label': label }),
    )
    const [enforcement, framing, urlTokens, keysCell] = cells
    const keys = element('ul', { class: 'keys' })
    keysCell.append(keys)
    return {
      node: element('tr', {}, element('th', { scope: 'row' }, name), ...cells),
      update(one) {
        write(enforcement, one.enforcement === 'report' ? 'only reports' : 'enforces')
        enforcement.className = one.enforcement === 'report' ? 'doubtful' : ''
        reconcile(
          framing,
          one.frameAncestors.length > 0 ? one.frameAncestors : ['nobody'],
          String,
          (source) => ({ node: element('div', {}, source) }),
        )
        write(urlTokens, one.urlTokens === null ? 'any' : count(one.urlTokens))
        const lines = one.keys.map((key, index) => describeKey(key, index, one.keys, status))
        if (one.jwks !== null) lines.unshift(describeJwks(one.jwks, status.now))
        reconcile(keys, lines, ({ name }) => name, createKey)
      },
    }
  }

  search.addEventListener('input', draw)
  return {
    update(next) {
      status = next
      draw()
    },
  }
}

function createKey({ name }) {
  const verdict = element('span')
  const uses = element('span', { class: 'uses' })
  return {
    node: element('li', {}, element('b', {}, name), ' ', verdict, ' ', uses),
    update(key) {
      write(verdict, key.verdict)
      verdict.className = key.level
      write(uses, key.uses)
    },
  }
}

/** What an operator may do about a key: `{ name, verdict, level, uses }`. Newest key first. */
export function describeKey(key, index, keys, { now, startedAt }) {
  const { kind, label, since, uses, lastUsed } = key
  const name =
    kind === 'public key'
      ? `public key ${label}`
      : (['newest secret', 'previous secret'][index] ?? `secret ${label}`)
  const used =
    lastUsed === null
      ? `known for ${duration(now - since)}`
      : `${several(uses, 'use')}, last ${ago(lastUsed, now)}, known for ${duration(now - since)}`
  return { name, uses: used, ...judge() }

  function judge() {
    const known = Math.max(since, startedAt)
    const unused =
      // What was there from the start is seen a moment after it.
      since > startedAt + 10_000
        ? `not used since it was added ${duration(now - since)} ago`
        : `not used since the gateway started ${duration(now - startedAt)} ago`
    if (kind === 'public key' || index === 0) {
      if (lastUsed !== null) return { level: '', verdict: inUse() }
      const older = kind === 'secret' && keys.slice(1).some((other) => other.lastUsed !== null)
      const hint = older ? ': links are still signed with an older one' : ''
      return { level: older ? 'doubtful' : '', verdict: unused + hint }
    }
    // Only the secret in whose place another is used can go.
    const idle = now - (lastUsed ?? known)
    const said = lastUsed === null ? unused : `last used ${ago(lastUsed, now)}`
    if (keys[0].lastUsed === null) return { level: '', verdict: `${said}: keep it` }
    if (idle < hour && lastUsed !== null) return { level: 'doubtful', verdict: 'still in use' }
    // Its sessions end with it. They last for SESSION_MAX_AGE, which the page is not told.
    if (idle < day) return { level: '', verdict: `${said}: too early to remove it` }
    return { level: 'good', verdict: `${said}: safe to remove, unless sessions last longer` }
  }

  function inUse() {
    return now - lastUsed < hour ? 'in use' : `last used ${ago(lastUsed, now)}`
  }
}

function describeJwks({ up, lastSuccess }, now) {
  const fetched = lastSuccess === null ? 'not fetched yet' : `fetched ${ago(lastSuccess, now)}`
  return {
    name: 'key set',
    verdict: up
      ? fetched
      : `cannot be fetched, ${lastSuccess === null ? 'never yet' : `last ${fetched}`}`,
    level: up ? '' : 'bad',
    uses: '',
  }
}

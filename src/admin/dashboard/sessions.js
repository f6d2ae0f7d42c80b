import { byId, element, reconcile, write } from './elements.js'
import { scopes } from './state.js'
import { withToken } from './stream.js'
import { ago, at, count, several } from './words.js'

const shownRows = 100
const typing = 250

/** The table of sessions, and how to end one. `unauthorized` is called where the token is refused. */
export function createSessions(token, unauthorized) {
  const search = byId('sessions-text')
  const body = byId('sessions-rows')
  const empty = byId('sessions-empty')
  const state = byId('sessions-state')
  const total = byId('sessions-count')
  const dialog = byId('end-session')
  let asked = 0
  let timer
  let now = Date.now()

  async function load() {
    clearTimeout(timer)
    asked += 1
    const mine = asked
    const query = new URLSearchParams({ search: search.value.trim(), limit: shownRows })
    const answer = await ask(`/sessions?${query}`, 'GET')
    // A later question was asked since.
    if (mine !== asked) return
    if (typeof answer === 'string') return write(total, `Sessions could not be read: ${answer}.`)
    draw(answer)
  }

  async function ask(target, method) {
    try {
      const response = await fetch(target, { method, headers: withToken(token), cache: 'no-store' })
      if (response.status === 401) unauthorized()
      return response.ok ? await response.json() : `status ${response.status}`
    } catch {
      return 'no connection'
    }
  }

  function draw({ scope, total: all, sessions }) {
    const some = sessions.length < all ? `, the newest ${count(sessions.length)} are shown` : ''
    write(total, `${several(all, 'session')} ${scopes[scope].ended}${some}`)
    empty.hidden = sessions.length > 0
    write(empty, search.value.trim() === '' ? 'Nobody has a session.' : 'No session matches.')
    byId('sessions-scroller').hidden = sessions.length === 0
    reconcile(
      body,
      sessions,
      ({ contactCenter, userId, sessionId }) => JSON.stringify([contactCenter, userId, sessionId]),
      createRow,
    )
  }

  function createRow(session) {
    const { userId, sessionId, contactCenter } = session
    const [since, seen, ends, sockets] = ['Since', 'Last seen', 'Ends', 'Sockets'].map((label) =>
      element('td', { 'data-label': label }),
    )
    let latest = session
    const end = element('button', { type: 'button', class: 'quiet' }, 'End session')
    end.setAttribute('aria-label', `End session ${sessionId} of ${userId}`)
    end.addEventListener('click', () => confirmEnd(latest))
    const node = element(
      'tr',
      {},
      element('th', { scope: 'row', 'data-label': 'User' }, userId),
      element('td', { 'data-label': 'Session' }, sessionId),
      element('td', { 'data-label': 'Contact center' }, contactCenter ?? 'none'),
      since,
      seen,
      ends,
      sockets,
      element('td', {}, end),
    )
    return {
      node,
      update(next) {
        latest = next
        write(since, at(next.start, now))
        write(seen, ago(next.lastSeen, now))
        write(ends, at(next.end, now))
        write(sockets, count(next.sockets))
      },
    }
  }

  function confirmEnd({ userId, sessionId, contactCenter, end, sockets }) {
    const rows = [
      ['User', userId],
      ['Session', sessionId],
      ['Contact center', contactCenter ?? 'none'],
    ]
    const pairs = rows.flatMap(([name, value]) => [
      element('dt', {}, name),
      element('dd', {}, value),
    ])
    byId('end-session-facts').replaceChildren(...pairs)
    const closing =
      sockets === 0
        ? 'It has no open socket'
        : sockets === 1
          ? 'Its open socket closes'
          : `Its ${several(sockets, 'open socket')} close`
    write(
      byId('end-session-text'),
      `${closing}${sockets === 0 ? '' : ' within a second'}. What its user asks for is refused until ${at(end, now)}, when it would have ended.`,
    )
    // The dialog's own close event comes late, when it may be open for another already.
    byId('end-session-now').onclick = () => void endSession({ userId, sessionId, contactCenter })
    dialog.showModal()
  }

  async function endSession({ userId, sessionId, contactCenter }) {
    write(state, `Ending session ${sessionId}…`)
    // Others may have a session of this id.
    const whose = new URLSearchParams(
      contactCenter === null ? { userId } : { userId, contactCenter },
    )
    const answer = await ask(`/sessions/${encodeURIComponent(sessionId)}?${whose}`, 'DELETE')
    write(
      state,
      typeof answer === 'string'
        ? `Session ${sessionId} of ${userId} was not ended: ${answer}.`
        : `Session ${sessionId} of ${userId} was ended ${scopes[answer.scope].ended}.`,
    )
    // The row that had the focus is gone, or will be.
    search.focus()
    await load()
  }

  search.addEventListener('input', () => {
    clearTimeout(timer)
    timer = setTimeout(load, typing)
  })
  return {
    load,
    /** The gateway's clock. */
    setNow(ms) {
      now = ms
    },
  }
}

import { byId, element, prose, reconcile, write } from './elements.js'
import { reasons } from './reasons.js'
import { at, count, several } from './words.js'

/** Older ones are in the log. */
const longest = 300
const betweenDrawings = 250

const fields = [
  ['contactCenter', 'contact center'],
  ['userId', 'user'],
  ['sessionId', 'session'],
  ['ip', 'from'],
  ['page', 'page'],
]

/** The latest refusals, newest first. They stand still while someone reads them. */
export function createRefusals() {
  const list = byId('refusals-list')
  const scroller = byId('refusals-scroller')
  const empty = byId('refusals-empty')
  const state = byId('refusals-state')
  const reason = byId('refusals-reason')
  const text = byId('refusals-text')
  const button = byId('refusals-pause')
  const keys = new Set()
  let latest = []
  /** What is shown of them; another list than `latest` while it stands still. */
  let shown = latest
  let waiting = 0
  let skipped = 0
  let scheduled = false
  let drawn = 0
  let hovered = false

  const stopped = () => button.getAttribute('aria-pressed') === 'true'
  const still = () => stopped() || hovered || scroller.contains(document.activeElement)

  function add(refusal) {
    const key = `${refusal.time} ${refusal.requestId} ${refusal.reason}`
    skipped += Number(refusal.skipped ?? 0)
    if (keys.has(key)) return
    keys.add(key)
    latest = [{ ...refusal, key }, ...latest]
    for (const { key } of latest.splice(longest)) keys.delete(key)
    if (still()) waiting += 1
    schedule()
  }

  /** A flood of refusals is no flood of drawings; a hidden page draws none. */
  function schedule() {
    if (scheduled) return
    scheduled = true
    const wait = Math.max(0, drawn + betweenDrawings - performance.now())
    setTimeout(() => requestAnimationFrame(draw), wait)
  }

  function draw() {
    scheduled = false
    drawn = performance.now()
    if (!still()) {
      shown = latest
      waiting = 0
    }
    drawReasons()
    const wanted = text.value.trim().toLowerCase()
    const matching = shown.filter(
      (one) =>
        (reason.value === '' || one.reason === reason.value) &&
        (wanted === '' || searchable(one).includes(wanted)),
    )
    reconcile(list, matching, ({ key }) => key, createEntry)
    empty.hidden = matching.length > 0
    write(empty, shown.length === 0 ? 'Nothing was refused so far.' : 'No refusal matches.')
    scroller.hidden = matching.length === 0
    write(state, describe(matching.length))
  }

  function describe(matching) {
    const parts = []
    if (still()) {
      const why = stopped() ? 'Paused' : 'Paused while you are in the list'
      parts.push(waiting > 0 ? `${why}, ${count(waiting)} new` : why)
    }
    if (shown.length > 0) {
      const all =
        shown.length === longest ? `the latest ${longest}` : several(shown.length, 'refusal')
      parts.push(matching < shown.length ? `${count(matching)} of ${all}` : all)
    }
    if (skipped > 0) parts.push(`${several(skipped, 'more refusal')} in the log only`)
    return parts.join(' · ')
  }

  function drawReasons() {
    const counts = new Map()
    for (const one of shown) counts.set(one.reason, (counts.get(one.reason) ?? 0) + 1)
    if (reason.value !== '' && !counts.has(reason.value)) counts.set(reason.value, 0)
    reconcile(reason, ['', ...[...counts.keys()].sort()], String, (value) => {
      const node = element('option', { value })
      return {
        node,
        update: () => write(node, value === '' ? 'all' : `${value} (${counts.get(value)})`),
      }
    })
  }

  button.addEventListener('click', () => {
    button.setAttribute('aria-pressed', String(!stopped()))
    write(button, stopped() ? 'Go on' : 'Pause')
    draw()
  })
  for (const [event, over] of [
    ['pointerenter', true],
    ['pointerleave', false],
  ]) {
    scroller.addEventListener(event, () => {
      hovered = over
      draw()
    })
  }
  scroller.addEventListener('focusin', schedule)
  scroller.addEventListener('focusout', schedule)
  for (const control of [reason, text]) control.addEventListener('input', draw)
  draw()
  drawn = -betweenDrawings

  return {
    add,
    /** Shows those of one reason, and takes the reader there. */
    choose(name) {
      const there = [...reason.options].some(({ value }) => value === name)
      if (!there) reason.append(element('option', { value: name }, name))
      reason.value = name
      draw()
      reason.focus()
    },
  }
}

function searchable(refusal) {
  return Object.values(refusal).join('\n').toLowerCase()
}

function createEntry(refusal) {
  const { time, decision, status, transport, method, path, hint, error, requestId } = refusal
  const what = element(
    'p',
    { class: 'what' },
    element('time', { datetime: new Date(time).toISOString() }, at(time, Date.now())),
    ' ',
    element('b', {}, refusal.reason),
    ' ',
    element('span', { class: 'status' }, String(status)),
  )
  if (decision === 'allow') {
    what.append(' ', element('span', { class: 'mark' }, 'would be refused'))
  }
  const asked = [method, path, transport === 'websocket' ? '(WebSocket)' : undefined]
  const where = asked.filter((part) => part !== undefined).join(' ')
  const who = element('dl')
  for (const [field, label] of fields) {
    if (refusal[field] === undefined || refusal[field] === null) continue
    who.append(element('div', {}, element('dt', {}, label), ' ', element('dd', {}, refusal[field])))
  }
  who.append(
    element(
      'div',
      {},
      element('dt', {}, 'request'),
      ' ',
      element('dd', {}, element('code', {}, requestId), ' ', copyButton(requestId)),
    ),
  )
  const advice = Object.hasOwn(reasons, refusal.reason) ? reasons[refusal.reason] : null
  const told = element('div', { class: 'told' })
  if (advice !== null) {
    told.append(
      element('p', {}, ...prose(advice.happened)),
      element('p', {}, element('b', {}, 'What to do: '), ...prose(advice.remedy)),
    )
  }
  if (hint !== undefined)
    told.append(element('p', { class: 'hint' }, element('b', {}, 'Hint: '), hint))
  if (error !== undefined)
    told.append(element('p', {}, element('b', {}, 'Error: '), element('code', {}, error)))
  const facts = element('div', { class: 'facts' }, what)
  if (where !== '') facts.append(element('p', { class: 'where' }, element('code', {}, where)))
  facts.append(who)
  return { node: element('li', {}, facts, told) }
}

function copyButton(requestId) {
  const button = element('button', { type: 'button', class: 'quiet' }, 'Copy')
  button.setAttribute('aria-label', `Copy request id ${requestId}`)
  button.addEventListener('click', async () => {
    // There is no clipboard off loopback without HTTPS.
    const copied = await navigator.clipboard?.writeText(requestId).then(
      () => true,
      () => false,
    )
    if (copied) return write(button, 'Copied')
    getSelection().selectAllChildren(button.previousElementSibling)
    write(button, 'Selected')
  })
  return button
}

import { createCharts } from './charts.js'
import { createContactCenters } from './contact-centers.js'
import { byId, element, reconcile, write } from './elements.js'
import { createExplainer } from './explainer.js'
import { createRefusals } from './refusals.js'
import { createHistory } from './series.js'
import { createSessions } from './sessions.js'
import { facts, notices, sentence } from './state.js'
import { follow } from './stream.js'
import { at } from './words.js'

const storageKey = 'copilot-gateway-admin-token'
/** A connection that is back at once is nobody's business. */
const patience = 2000
const marks = { bad: '■ Problem:', doubtful: '▲ Note:', note: '' }

const token = sessionStorage.getItem(storageKey)
const history = createHistory()
const hurry = new EventTarget()
const leaving = new AbortController()
const refusals = createRefusals()
const contactCenters = createContactCenters()
const charts = createCharts(byId('charts'), refusals.choose)
const sessions = createSessions(token, askForToken)
createExplainer(token, askForToken)
let status = null
let range = 900_000
let lostAt = null
let lostTimer
let ticks = 0

byId('forget').hidden = token === null
byId('forget').addEventListener('click', () => {
  sessionStorage.removeItem(storageKey)
  location.reload()
})
byId('reconnect').addEventListener('click', () => hurry.dispatchEvent(new Event('hurry')))
window.addEventListener('online', () => hurry.dispatchEvent(new Event('hurry')))
byId('range').addEventListener('change', ({ target }) => {
  range = Number(target.value)
  drawCharts()
})
document.querySelector('#login form').addEventListener('submit', (event) => {
  event.preventDefault()
  const given = byId('token').value.trim()
  // What can't be in a header can't be the token.
  if (!/^[\x21-\x7e]+$/.test(given)) return refuseToken()
  sessionStorage.setItem(storageKey, given)
  location.reload()
})

const ended = await follow({
  token,
  signal: leaving.signal,
  hurry,
  onOpen: showConnected,
  onEvent: take,
  onLost: lose,
})
if (ended === 'unauthorized') askForToken()

function take(name, value) {
  switch (name) {
    case 'history':
      history.replace(value)
      return drawCharts()
    case 'point':
      history.add(value)
      return drawCharts()
    case 'status':
      status = value
      return drawStatus()
    case 'refusal':
      return refusals.add(value)
  }
}

function drawStatus() {
  sessions.setNow(status.now)
  byId('board').hidden = false
  drawSentence()
  const found = notices(status)
  const serious = found.filter(({ level }) => level !== 'note')
  document.title =
    serious.length > 0 ? `(${serious.length}) Copilot Gateway` : 'Copilot Gateway: ready'
  reconcile(byId('notices'), found, ({ key }) => key, createNotice)
  // Figures change all the time: only what is wrong is read out.
  write(byId('announcement'), serious.map(({ text }) => text).join(' '))
  const { version, rows } = facts(status)
  write(byId('version'), version)
  reconcile(byId('facts'), rows, ([name]) => name, createFact)
  contactCenters.update(status)
  if (ticks % 2 === 0 && !document.hidden) void sessions.load()
  ticks += 1
}

function drawSentence() {
  if (status === null) return
  const worst = notices(status)[0]?.level
  byId('state').className = worst === 'bad' || !status.ready ? 'bad' : 'good'
  write(byId('sentence'), sentence(status, history.last(60_000)))
}

function drawCharts() {
  if (document.hidden) return
  charts.draw(history.buckets(range), range)
  drawSentence()
}
document.addEventListener('visibilitychange', drawCharts)

function createNotice({ level }) {
  const text = element('span')
  const details = element('ul')
  const node = element('li', { class: level }, element('b', {}, marks[level]), ' ', text, details)
  return {
    node,
    update(notice) {
      write(text, notice.text)
      reconcile(details, notice.details, String, (line) => ({ node: element('li', {}, line) }))
    },
  }
}

function createFact([name]) {
  const text = element('dd')
  return {
    node: element('div', {}, element('dt', {}, name), text),
    update: ([, value]) => write(text, value),
  }
}

function showConnected() {
  clearTimeout(lostTimer)
  lostAt = null
  document.body.classList.remove('stale')
  byId('reconnect').hidden = true
  write(byId('connection'), 'Live')
}

function lose(why) {
  if (lostAt !== null) return
  lostAt = Date.now()
  lostTimer = setTimeout(() => {
    document.body.classList.add('stale')
    byId('reconnect').hidden = false
    const text = `Not connected since ${at(lostAt, lostAt)} (${why})`
    write(byId('connection'), status === null ? text : `${text}: what is shown is from then`)
    write(byId('announcement'), text)
  }, patience)
}

function askForToken() {
  leaving.abort()
  clearTimeout(lostTimer)
  sessionStorage.removeItem(storageKey)
  byId('board').remove()
  byId('forget').hidden = true
  byId('login').hidden = false
  write(byId('connection'), 'Token needed')
  if (token !== null) refuseToken()
  byId('token').focus()
}

function refuseToken() {
  write(byId('login-error'), 'This is not the gateway’s token.')
  byId('token').setAttribute('aria-invalid', 'true')
}

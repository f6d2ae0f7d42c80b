import { io } from './socket.io.js'

const query = new URLSearchParams(location.search)
const ids = {
  URLToken: query.get('URLToken'),
  sessionId: query.get('sessionId'),
  userId: query.get('userId'),
}
const { accessTokenSecret, agentAssistAPIUrl } = window.serverConfig
const grid = document.getElementById('grid')
const form = document.getElementById('message')
const shown = new Map()

const socket = io(agentAssistAPIUrl, {
  auth: { token: accessTokenSecret },
  transports: ['websocket'],
  reconnectionAttempts: 10,
  reconnectionDelay: 3000,
  reconnectionDelayMax: 8000,
})

socket.on('connect', () => {
  socket.emit('join', ids, (problem) => {
    if (problem) say(String(problem), true)
    else say('Connected')
  })
})

socket.on('connect_error', ({ message }) => {
  if (message === 'Authentication error') say('Authentication error', true)
  else say('No connection. Trying again.', true)
})

socket.on('disconnect', () => say('Connection lost. Trying again.', true))
socket.io.on('reconnect_failed', () => say('No connection. Reload the page to try again.', true))

socket.on('config', (config) => {
  if (!config?.grid || !config.tiles) return
  grid.style.setProperty('--columns', config.grid.columns)
  grid.style.setProperty('--rows', config.grid.rows)
  grid.style.setProperty('--gap', `${config.grid.gap}px`)
  const inReadingOrder = Object.entries(config.tiles).sort(([, a], [, b]) => a.y - b.y || a.x - b.x)
  shown.clear()
  grid.replaceChildren(
    ...inReadingOrder.map(([tileId, place]) => {
      const tile = document.createElement('div')
      tile.className = 'tile'
      tile.dataset.tile = tileId
      tile.style.setProperty('--row', place.y)
      tile.style.setProperty('--column', place.x)
      tile.style.setProperty('--row-span', place.rows)
      tile.style.setProperty('--column-span', place.columns)
      return tile
    }),
  )
})

socket.on('tileUpdate', ({ tileId, type, data }) => {
  const tile = grid.querySelector(`[data-tile="${CSS.escape(tileId)}"]`)
  if (!tile || type !== 'html' || shown.get(tileId) === data.html) return
  shown.set(tileId, data.html)
  show(tile, data.html)
})

function show(tile, html) {
  for (const unfinished of [...tile.children].slice(1)) unfinished.remove()
  const url = URL.createObjectURL(
    new Blob([window.renderMessage(html)], { type: 'text/html;charset=utf-8' }),
  )
  const frame = document.createElement('iframe')
  frame.sandbox = 'allow-scripts'
  frame.title = tile.dataset.tile
  frame.src = url
  frame.onload = () => {
    URL.revokeObjectURL(url)
    const before = frame.previousElementSibling
    const focused = before !== null && document.activeElement === before
    before?.remove()
    if (focused) frame.focus()
  }
  tile.append(frame)
}

window.addEventListener('message', ({ source, data }) => {
  const frame = [...grid.querySelectorAll('iframe')].find((one) => one.contentWindow === source)
  if (!frame || typeof data !== 'object' || data === null) return
  if (data.type === 'tile-height') {
    frame.parentElement.style.setProperty('--content', `${Math.ceil(Number(data.height)) + 2}px`)
  }
  if (data.type === 'tile-postback') {
    socket.emit('sendPostbackAction', { ...ids, action: data.action })
  }
})

form.addEventListener('submit', (event) => {
  event.preventDefault()
  const text = form.elements.text.value.trim()
  if (!text || !socket.connected) return
  socket.emit('sendMessage', { text })
  form.reset()
})

function say(text, problem = false) {
  const status = document.getElementById('status')
  status.textContent = text
  status.classList.toggle('problem', problem)
}

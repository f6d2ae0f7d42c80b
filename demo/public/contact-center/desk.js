// The agent's telephone, and what is handed over: both open by links that the links API has signed.
const status = document.getElementById('said')
const chats = document.getElementById('chats')
const buttons = Object.fromEntries(
  ['call', 'answer', 'end', 'handover'].map((id) => [id, document.getElementById(id)]),
)
let open = null

for (const [id, path] of [
  ['call', '/call'],
  ['answer', '/call/answer'],
  ['end', '/call/end'],
]) {
  buttons[id].addEventListener('click', () => post(path))
}
buttons.handover.addEventListener('click', handOver)

new EventSource('/desk').addEventListener('message', ({ data }) => {
  const { call, said } = JSON.parse(data)
  const ringing = call?.state === 'ringing'
  const focused = document.activeElement
  status.textContent = call === null ? said : describe(call)
  buttons.call.hidden = call !== null
  buttons.answer.hidden = !ringing
  buttons.end.hidden = call === null
  buttons.end.textContent = ringing ? 'Decline' : 'Hang up'
  // Whoever pressed a button that is gone goes on with the one in its place.
  if (focused?.hidden)
    [buttons.answer, buttons.end, buttons.call].find((one) => !one.hidden).focus()
  show(call?.state === 'open' ? call : null)
})

function describe({ state, customer, sessionId }) {
  const calls = state === 'ringing' ? 'is calling' : 'is on the phone'
  return `${customer} ${calls} (${sessionId})`
}

/** Opens the workspace of exactly the conversation that the call is of, and shuts it with the call. */
function show(call) {
  if (call?.link === open?.link) return
  open?.section.remove()
  open = null
  if (call === null) return
  const section = makeSection(`Call with ${call.customer}`, `${call.topic} (${call.sessionId})`)
  section.id = 'call-open'
  section.append(makeWorkspace(call, `Copilot for ${call.customer}`))
  chats.prepend(section)
  open = { link: call.link, section }
}

/** The link as it was handed over, and beside it the one that the links API made of it. */
async function handOver() {
  buttons.handover.disabled = true
  const { problem, customer, topic, sessionId, plain, link } = await post('/handover')
  buttons.handover.disabled = false
  if (problem !== undefined) {
    status.textContent = `The handover was refused: ${problem}.`
    return
  }
  document.getElementById('handed-over')?.remove()
  const pair = document.createElement('div')
  pair.id = 'handed-over'
  const details = `${topic} (${sessionId})`
  const unsigned = makeSection(`${customer}, as handed over`, 'The link is not signed.')
  const frame = document.createElement('iframe')
  frame.title = `What ${customer}’s link opens without a signature`
  frame.src = plain
  unsigned.append(frame)
  const signed = makeSection(`${customer}, through the links API`, details)
  pair.append(unsigned, signed)
  // The session's cookie would let the plain link in, too: it is shown what it opens without one.
  frame.addEventListener(
    'load',
    () => signed.append(makeWorkspace({ sessionId, link }, `Copilot for ${customer}`)),
    { once: true },
  )
  chats.prepend(pair)
}

function makeSection(title, details) {
  const section = document.querySelector('template').content.cloneNode(true).firstElementChild
  section.querySelector('h2').textContent = title
  section.setAttribute('aria-label', title)
  section.querySelector('.details').textContent = details
  return section
}

function makeWorkspace({ sessionId, link }, label) {
  const workspace = document.createElement('copilot-workspace')
  workspace.setAttribute('label', label)
  workspace.getLink = async ({ signal }) => (await post(`/links/${sessionId}`, signal)).link
  workspace.src = link
  return workspace
}

async function post(path, signal) {
  const response = await fetch(path, { method: 'POST', signal })
  return response.json()
}

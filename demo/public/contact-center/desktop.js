import './copilot-workspace.js'

const { agent, chats } = await read()
const list = document.getElementById('chats')
// A call or a handover is one more (desk.js).
new MutationObserver(count).observe(list, { childList: true })

for (const chat of chats) {
  const section = document
    .querySelector('template')
    .content.cloneNode(true)
    .querySelector('section')
  const heading = section.querySelector('h2')
  const workspace = document.createElement('copilot-workspace')

  heading.textContent = chat.customer
  heading.id = chat.sessionId
  section.setAttribute('aria-labelledby', heading.id)
  section.querySelector('.details').textContent = `${chat.topic} (${chat.sessionId})`
  workspace.setAttribute('label', `Copilot for ${chat.customer}`)
  workspace.getLink = async ({ signal }) => {
    const { chats: fresh } = await read(signal)
    return fresh.find(({ sessionId }) => sessionId === chat.sessionId).link
  }
  workspace.src = chat.link
  section.append(workspace)
  list.append(section)
}

function count() {
  const open = list.childElementCount
  document.getElementById('agent').textContent = `${agent}, ${open} open conversations`
  document.title = `${open} conversations, Northline Rail`
}

async function read(signal) {
  const response = await fetch('/chats.json', { signal })
  return response.json()
}

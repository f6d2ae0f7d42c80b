import './copilot-workspace.js'

const { agent, chats } = await read()
const list = document.getElementById('chats')
document.getElementById('agent').textContent = `${agent}, ${chats.length} open conversations`
document.title = `${chats.length} conversations, Northline Rail`

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

async function read(signal) {
  const response = await fetch('/chats.json', { signal })
  return response.json()
}

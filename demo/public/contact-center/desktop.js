const { agent, gateway, chats } = await read()
const list = document.getElementById('chats')
document.getElementById('agent').textContent = `${agent}, ${chats.length} open conversations`
document.title = `${chats.length} conversations, Northline Rail`

for (const chat of chats) {
  const section = document
    .querySelector('template')
    .content.cloneNode(true)
    .querySelector('section')
  const heading = section.querySelector('h2')
  const notice = section.querySelector('.notice')
  const frame = section.querySelector('iframe')
  let renewed = 0

  heading.textContent = chat.customer
  heading.id = chat.sessionId
  section.setAttribute('aria-labelledby', heading.id)
  section.querySelector('.details').textContent = `${chat.topic} (${chat.sessionId})`
  frame.title = `Copilot for ${chat.customer}`
  frame.src = chat.link
  list.append(section)

  const renew = async () => {
    const { chats: fresh } = await read()
    notice.hidden = true
    frame.src = fresh.find(({ sessionId }) => sessionId === chat.sessionId).link
  }
  section.querySelector('button').addEventListener('click', renew)

  // The gateway says so where a link has only ended. Once a minute at most: never in a loop.
  window.addEventListener('message', ({ origin, source, data }) => {
    if (origin !== gateway || source !== frame.contentWindow) return
    if (data?.type !== 'copilot-gateway:refused') return
    if (data.renew && Date.now() - renewed > 60_000) {
      renewed = Date.now()
      renew()
      return
    }
    notice.querySelector('p').textContent = `Copilot was not opened (status ${data.status}).`
    notice.hidden = false
  })
}

async function read() {
  const response = await fetch('/chats.json')
  return response.json()
}

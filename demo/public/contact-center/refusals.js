const { gateway, refusals } = await (await fetch('/refusals.json')).json()
const list = document.getElementById('refusals')

for (const { title, text, status, or, reason, link } of refusals) {
  const article = document
    .querySelector('template')
    .content.cloneNode(true)
    .querySelector('article')
  const answered = article.querySelector('.answered')
  const frame = article.querySelector('iframe')
  article.querySelector('h2').textContent = title
  article.querySelector('p').textContent = text
  article.querySelector('.expected').textContent = `Status ${status}, in the log ${reason}`
  frame.title = title

  window.addEventListener('message', ({ origin, source, data }) => {
    if (origin !== gateway || source !== frame.contentWindow) return
    if (data?.type !== 'copilot-gateway:refused') return
    const isExpected = data.status === status || data.status === or
    const asExpected = isExpected ? 'as expected' : 'not as expected'
    answered.textContent = `Status ${data.status}, ${asExpected}`
  })
  list.append(article)
  frame.src = link
}

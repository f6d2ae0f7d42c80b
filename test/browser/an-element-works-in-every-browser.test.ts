import t from 'tap'
import { localNames } from './chromium.ts'
import { firefox } from './firefox.ts'
import { webkit } from './webkit.ts'
import { startElementStage } from './workspace-element.ts'

const hour = 3_600_000

t.jobs = 2
for (const { name, missing, open } of [firefox, webkit]) {
  t.test(`${name}, without cookies`, { skip: missing, buffered: true }, async (t) => {
    const { url, link, audit } = await startElementStage(t, localNames)
    const tab = await open(t)
    await tab.goto(url.href)
    const ended = link({ signedAt: Date.now() - 2 * hour, expiresIn: hour })
    const states = await tab.evaluate(`(async () => {
      await customElements.whenDefined('copilot-workspace')
      const element = document.createElement('copilot-workspace')
      const states = []
      element.getLink = async ({ reason }) => {
        states.push(reason)
        return ${JSON.stringify(link())}
      }
      const opened = new Promise((resolve) =>
        element.addEventListener('copilot-change', ({ detail: { state } }) => {
          if (state !== 'open' || states.includes('expired')) states.push(state)
          if (states.at(-1) === 'open') resolve()
        }))
      element.src = ${JSON.stringify(ended)}
      document.body.append(element)
      await opened
      return states.join()
    })()`)
    t.equal(states, 'opening,asking,expired,opening,open')
    const [socket] = await audit.until((line) => line['socket'] === 'open')
    t.match(socket, { decision: 'allow', sessionId: 'chat-2041' })
  })
}

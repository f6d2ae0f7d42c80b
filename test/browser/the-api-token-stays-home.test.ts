// The demo over plain HTTP, as `npm run demo` runs it: all that reaches the browser can be read on its way.
import { connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { conversations } from '../../demo/conversations.ts'
import { startDemo } from '../../demo/main.ts'
import { listen } from '../stage.ts'
import { chatWith, connected, launch, recordLog, say, tile } from './chromium.ts'
import { chromiumMissing } from './executable.ts'

const [maria, tomas] = conversations

t.test('in Chromium', { skip: chromiumMissing }, async (t) => {
  const { log, audit } = recordLog()
  const demo = await startDemo({ log, pace: 20 })
  t.teardown(() => demo.close())
  const tap = await startTap(t, Number(demo.gateway.port))
  const newContext = await launch(t, [`MAP ${demo.gateway.host} 127.0.0.1:${tap.port}`])
  const page = await (await newContext(t)).newPage()

  await page.goto(demo.desktop.href)
  for (const { customer, opening, sessionId } of [maria, tomas]) {
    const workspace = chatWith(page, customer.name)
    await connected(workspace)
    const suggestion = tile(workspace, 'suggestion').locator('body')
    await suggestion.filter({ hasText: opening.suggestion ?? '' }).waitFor()
    await suggestion.getByRole('button').click()
    const text = `Word for ${sessionId}`
    await say(workspace, text)
    await tile(workspace, 'transcript').getByText(text).waitFor()
  }
  await page.reload()
  for (const { customer } of [maria, tomas]) await connected(chatWith(page, customer.name))
  const tab = await page.context().newPage()
  await tab.goto(demo.link(maria.sessionId).href)
  await connected(tab)
  const statuses = await tab.evaluate(async () => {
    const paths = ['/config.js', '/manifest.json', '/no-such-file.json', '/socket.io/', '/?a']
    const answers = await Promise.all(paths.map((path) => fetch(path, { cache: 'reload' })))
    return answers.map((answer) => answer.status)
  })
  t.strictSame(statuses, [200, 200, 404, 400, 200])
  await tab.goto(`${demo.gateway}?userId=nobody`)
  await page.close()
  await audit.until(({ socket }) => socket === 'close', 5)

  await t.test('everything the browser received has been read', async (t) => {
    const received = tap.received()
    for (const { requestId, path } of audit.all) {
      t.ok(received.includes(`x-request-id: ${requestId}`), `the answer to ${path}`)
    }
    t.notMatch(received, /^content-encoding:/im, 'no body is compressed')
    t.notMatch(received, /^sec-websocket-extensions:/im, 'nor is a frame')
    for (const told of [
      `"accessTokenSecret":"copilot-gateway"`,
      `"agentAssistAPIUrl":"${demo.gateway}?copilotSession=`,
      '42["tileUpdate",',
      `Word for ${tomas.sessionId}`,
    ]) {
      t.ok(received.includes(told), told)
    }
  })

  const { apiToken, api, page: files } = demo.workspace
  const kept = [
    ['the API token', apiToken],
    ['part of it', apiToken.slice(16, 40)],
    ['it in other letters', apiToken.toUpperCase()],
    ['its bytes', Buffer.from(apiToken, 'hex').toString('latin1')],
    ['it in base64', Buffer.from(apiToken).toString('base64').slice(0, -2)],
    ['its bytes in base64', Buffer.from(apiToken, 'hex').toString('base64').slice(0, -2)],
    ['the backend’s address', api.host],
    ['the page’s address', files.host],
    ['the contact center’s secret', demo.secret.toString('hex')],
    ['its bytes', demo.secret.toString('latin1')],
  ] as const
  for (const [name, secret] of kept) {
    t.notOk(tap.received().includes(secret), `${name} is nowhere in it`)
  }
})

/** A forwarder that keeps what comes back, a character a byte. */
async function startTap(t: Test, port: number): Promise<{ port: number; received(): string }> {
  const connections: Buffer[][] = []
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const gateway = connect(port, '127.0.0.1')
    const chunks: Buffer[] = []
    connections.push(chunks)
    gateway.on('data', (chunk: Buffer) => chunks.push(chunk))
    client.pipe(gateway).pipe(client)
    for (const [one, other] of [
      [client, gateway],
      [gateway, client],
    ] as const) {
      sockets.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
  })
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return {
    port: await listen(server),
    received: () =>
      connections.map((chunks) => Buffer.concat(chunks).toString('latin1')).join('\n'),
  }
}

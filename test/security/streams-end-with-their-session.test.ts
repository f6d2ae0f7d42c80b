import { once } from 'node:events'
import { request as startRequest } from 'node:http'
import t from 'tap'
import { jwt, link, openSession, startGateway, startUpstream } from '../stage.ts'
import { stopClock } from '../websocket/peer.ts'

const types = ['text/event-stream', 'application/octet-stream', 'none']

for (const type of types) {
  for (const credential of ['a token', 'a cookie']) {
    t.test(`${type === 'none' ? 'a poll' : type}, let in by ${credential}`, async (t) => {
      const pass = stopClock(t)
      let asked = (): void => {}
      let left = (): void => {}
      const arrives = new Promise<void>((resolve) => {
        asked = resolve
      })
      const isLeft = new Promise<void>((resolve) => {
        left = resolve
      })
      const upstream = await startUpstream(t, (request, response) => {
        if (!request.url?.startsWith('/stream')) {
          response.end()
          return
        }
        asked()
        response.on('close', left)
        request.socket.on('next', () => response.write('data: 2'))
        if (type === 'none') return
        response.writeHead(200, { 'Content-Type': type })
        response.write('data: 1')
      })
      const gateway = await startGateway(t, upstream.origin, { SESSION_MAX_AGE: '20s' })
      const auth = jwt()
      const byToken = credential === 'a token'
      const headers = byToken ? {} : { Cookie: await openSession(gateway) }
      const target = byToken ? link({ auth }, '/stream') : '/stream'
      upstream.seen.length = 0

      const request = startRequest(gateway.origin + target, { headers, agent: false })
      const answered = once(request, 'response')
      request.end()
      if (type === 'none') {
        await arrives
        pass(20_000)
        const [answer] = await answered
        t.equal(answer.statusCode, 401)
        answer.resume()
      } else {
        const [answer] = await answered
        let body = ''
        answer.on('data', (chunk: Buffer) => {
          body += chunk
        })
        answer.on('error', () => {})
        const closed = new Promise((resolve) => answer.on('close', resolve))
        await once(answer, 'data')
        pass(19_999)
        for (const socket of upstream.sockets) socket.emit('next')
        await once(answer, 'data')
        t.equal(body, 'data: 1data: 2', 'until then it goes on')
        pass(1)
        await closed
        t.equal(answer.complete, false, 'it does not look whole')
        const [line] = await gateway.audited(byToken ? 1 : 2).then((lines) => lines.slice(-1))
        t.match(line, { decision: 'allow', status: 200, ended: 'session-expired' })
      }
      t.equal(upstream.seen.length, 1)
      await isLeft
    })
  }
}

import t from 'tap'
import { ask, link, startGateway, startSocketUpstream, startUpstream } from '../stage.ts'
import { openDoors } from './doors.ts'

const statuses = [408, 425, 429, 500, 502, 503, 504]

t.test('an unwell workspace is asked once a request', async (t) => {
  for (const after of ['0', '1', '3600', new Date(Date.now() + 1000).toUTCString()]) {
    const { doors, upstream } = await openDoors(t, {}, (request, response) => {
      const status = Number(request.url?.split('/')[1]?.split('?')[0])
      response.writeHead(status, { 'Retry-After': after }).end('unwell')
    })
    for (const { name, knock } of doors.filter((door) => door.name !== 'an upgrade')) {
      for (const status of statuses) {
        for (const method of ['GET', 'HEAD']) {
          upstream.seen.length = 0
          const told = await knock({ method, target: link({}, `/${status}`) })
          t.equal(told.status, status, `${name}: ${method} ${status}`)
          t.equal(told.headers['retry-after'], after, 'for the client to judge')
          t.equal(upstream.seen.length, 1, `${name}: ${method} ${status}, asked once`)
        }
      }
    }
  }
})

t.test('and an upgrade that it refuses is not asked for again', async (t) => {
  for (const status of statuses) {
    const upstream = await startSocketUpstream(t, (socket) => {
      socket.end(`HTTP/1.1 ${status} X\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n`)
    })
    const gateway = await startGateway(t, upstream.origin)
    const { status: got } = await ask(gateway.origin, link({}, '/socket.io/'), {
      headers: {
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      },
    })
    t.equal(got, status)
    t.equal(upstream.heads.length, 1, `${status}, asked once`)
  }
})

t.test('twenty agents at once are twenty requests', async (t) => {
  const upstream = await startUpstream(t, (_, response) => {
    response.writeHead(503, { 'Retry-After': '0' }).end()
  })
  const gateway = await startGateway(t, upstream.origin)
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(gateway.origin)))
  t.ok(answers.every(({ status }) => status === 503))
  t.equal(upstream.seen.length, 20)
})

// An upstream's head or trailer that Node would not write ends neither the process nor the exchange.
import t from 'tap'
import { exchange, link, startSocketUpstream } from '../stage.ts'
import { openDoors } from './doors.ts'

const html = 'Content-Type: text/html'
const page = '<!doctype html><script src="config.js"></script>'
const sized = `Content-Length: ${page.length}`
const chunked = 'Transfer-Encoding: chunked'
const chunk = `${page.length.toString(16)}\r\n${page}\r\n0\r\n`

const rows: readonly (readonly [string, string, number])[] = [
  ['a trailer that is announced, and a length', answer([html, sized, 'Trailer: X-A'], page), 200],
  ['the same, of a text', answer(['Content-Type: text/plain', sized, 'Trailer: X-A'], page), 200],
  [
    'a trailer after a page',
    answer([html, chunked, 'Trailer: X-A'], `${chunk}X-A: b\r\n\r\n`),
    200,
  ],
  ['two ETags', answer([html, sized, 'ETag: "a"', 'ETag: "b"'], page), 200],
  ['two of a plain text', answer([sized, 'ETag: "a"', 'ETag: "b"'], page), 200],
  ['two Dates', answer([html, sized, 'Date: x', 'Date: y'], page), 200],
  ['two Locations', answer([html, sized, 'Location: /a', 'Location: /b'], page), 200],
  ['HTTP2-Settings', answer([html, sized, 'HTTP2-Settings: x'], page), 200],
  ['two ETags as trailers', answer([chunked], `${chunk}ETag: "a"\r\nETag: "b"\r\n\r\n`), 200],
  ['HTTP2-Settings as a trailer', answer([chunked], `${chunk}HTTP2-Settings: x\r\n\r\n`), 200],
]

function answer(lines: readonly string[], body: string): string {
  return ['HTTP/1.1 200 OK', ...lines, '', body].join('\r\n')
}

t.test('over HTTP/1.1, HTTP/2 and a refused upgrade', async (t) => {
  let bytes = ''
  const upstream = await startSocketUpstream(t, (socket) => socket.write(bytes, 'latin1'))
  const { doors, gateway, host } = await openDoors(t, { COPILOT_URL: upstream.origin })
  for (const [name, sent, status] of rows) {
    for (const door of doors) {
      bytes = sent
      const told = await door.knock()
      t.equal(told.status, status, `${name}, by ${door.name}`)
      t.match(told.body, '<!doctype html>', `${name}, by ${door.name}`)
    }
  }
  bytes = 'HTTP/1.1 700 x\r\nContent-Length: 0\r\n\r\n'
  const [first, second] = doors
  t.equal((await first?.knock())?.status, 700)
  t.equal((await second?.knock())?.status, 502, 'HTTP/2 has no such status')
  bytes = `HTTP/1.1 102 x\r\n\r\n${answer([html, sized], page)}`
  t.equal((await second?.knock())?.status, 200, 'nor a way to say 102')
  bytes = rows[0]?.[1] ?? ''
  t.equal((await first?.knock())?.status, 200, 'and the next is served')
  t.notMatch(JSON.stringify(gateway.lines), /internal-error|fatal/)
  t.ok(host)
})

t.test('to a client of HTTP/1.0', async (t) => {
  const sent = answer([html, chunked, 'Trailer: X-A'], `${chunk}X-A: b\r\n\r\n`)
  const upstream = await startSocketUpstream(t, (socket) => socket.write(sent, 'latin1'))
  const { gateway } = await openDoors(t, {
    COPILOT_URL: upstream.origin,
    TLS_CERT_FILE: '',
    TLS_KEY_FILE: '',
  })
  const text = await exchange(gateway.port, `GET ${link()} HTTP/1.0\r\nHost: localhost\r\n\r\n`)
  t.match(text, /^HTTP\/1\.1 200 /)
  t.match(text, '<!doctype html>')
})

t.test('a trailer is announced, and no body comes', async (t) => {
  let head = ''
  const upstream = await startSocketUpstream(t, (socket) => socket.write(`${head}\r\n\r\n`))
  const { doors } = await openDoors(t, { COPILOT_URL: upstream.origin })
  const rows: readonly (readonly [status: number, method: string, head: string])[] = [
    [200, 'HEAD', `HTTP/1.1 200 OK\r\n${chunked}\r\nTrailer: X-A`],
    [200, 'HEAD', `HTTP/1.1 200 OK\r\n${html}\r\n${chunked}\r\nTrailer: X-A`],
    [304, 'GET', 'HTTP/1.1 304 Not Modified\r\nTrailer: X-A'],
    [204, 'GET', 'HTTP/1.1 204 No Content\r\nTrailer: X-A'],
    [204, 'GET', 'HTTP/1.1 204 No Content\r\nContent-Length: 0'],
  ]
  for (const [status, method, sent] of rows) {
    for (const { name, knock, open } of doors) {
      // The last answers an upgrade, which is a GET.
      if (open === 101 && method === 'HEAD') continue
      head = sent
      const told = await knock({ method })
      t.equal(told.status, status, `${name}: ${sent}`)
      if (status === 204) t.equal(told.headers['content-length'], undefined, 'RFC 9110 §8.6')
    }
  }
})

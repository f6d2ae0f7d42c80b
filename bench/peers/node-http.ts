// Bare node:http and undici: nothing is checked, nothing is looked at.
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { Agent } from 'undici'

const upstream = process.env['UPSTREAM'] ?? ''
const [host = '', port = ''] = upstream.split(':')
const agent = new Agent()

const server = createServer((request, response) => {
  const { connection: _, host: __, ...headers } = request.headers
  const hasBody = request.method !== 'GET' && request.method !== 'HEAD'
  agent.dispatch(
    {
      origin: `http://${upstream}`,
      path: request.url ?? '/',
      method: request.method ?? 'GET',
      headers,
      body: hasBody ? request : null,
    },
    {
      onRequestStart() {},
      onResponseStart(controller, status, headers) {
        const { connection: _, 'keep-alive': __, 'transfer-encoding': ___, ...rest } = headers
        response.writeHead(status, rest)
        response.on('close', () => {
          if (!response.writableFinished) controller.abort(new Error('the client left'))
        })
      },
      onResponseData(controller, chunk) {
        if (response.write(chunk)) return
        controller.pause()
        response.once('drain', () => controller.resume())
      },
      onResponseEnd() {
        response.end()
      },
      onResponseError() {
        response.destroy()
      },
    },
  )
})
server.on('upgrade', (request, socket, head) => {
  const workspace = connect({ host, port: Number(port), noDelay: true })
  const lines = request.rawHeaders.flatMap((name, i) =>
    i % 2 === 0 ? [`${name}: ${request.rawHeaders[i + 1]}`] : [],
  )
  workspace.write([`GET ${request.url} HTTP/1.1`, ...lines, '', ''].join('\r\n'))
  workspace.write(head)
  socket.pipe(workspace).pipe(socket)
  socket.on('error', () => workspace.destroy())
  workspace.on('error', () => socket.destroy())
})
server.listen(Number(process.env['PORT']), '127.0.0.1')

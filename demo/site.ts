import assert from 'node:assert'
import { readFileSync } from 'node:fs'
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { extname } from 'node:path'
import { createHostCheck } from '../src/admin/host.ts'

export interface Answer {
  readonly type: string
  readonly body: string | Buffer
  readonly headers?: Readonly<Record<string, string>>
}

/** PEM text. */
export interface Tls {
  readonly cert: string
  readonly key: string
}

export interface Site {
  readonly url: URL
  close(): Promise<void>
}

export type Handle = (request: IncomingMessage, response: ServerResponse) => boolean

/** A site of a few GET routes on loopback, under its name there (DNS rebinding). Port 0 takes a free one. */
export async function startSite(options: {
  readonly name: string
  readonly port: number
  readonly tls: Tls | null
  readonly answer: (path: string) => Answer | null
  /** Asked first; false for what is not its own. */
  readonly handle?: Handle
}): Promise<Site> {
  const { name, tls, answer, handle = () => false } = options
  const respond = respondWith(answer)
  const isOwnHost = createHostCheck(name)
  const make = (): Server => {
    const listener: RequestListener = (request, response) => {
      if (!isOwnHost(request.headers.host ?? '')) response.writeHead(421).end()
      else if (!handle(request, response)) respond(request, response)
    }
    return tls ? createTlsServer({ ...tls }, listener) : createServer(listener)
  }
  const first = make()
  const port = await listen(first, options.port, '127.0.0.1')
  const servers = [first]
  const second = make()
  // Browsers may try ::1 first for a name under .localhost. Without IPv6 they don't.
  await listen(second, port, '::1').then(
    () => servers.push(second),
    () => {},
  )
  return {
    url: new URL(`${tls ? 'https' : 'http'}://${name}:${port}/`),
    close: async () => {
      await Promise.all(servers.map(close))
    },
  }
}

export function respondWith(answer: (path: string) => Answer | null): RequestListener {
  return (request, response) => {
    const found = answer(String(request.url).replace(/\?.*/, ''))
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end()
    } else if (!found) {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('Not found\n')
    } else {
      const body = Buffer.from(found.body)
      response.writeHead(200, {
        'content-type': found.type,
        'content-length': body.length,
        ...found.headers,
      })
      response.end(request.method === 'HEAD' ? undefined : body)
    }
  }
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.ico': 'image/x-icon',
}

/** A file beside this module, under public/. */
export function publicFile(path: string): Answer {
  return {
    type: String(types[extname(path)]),
    body: readFileSync(new URL(`./public/${path}`, import.meta.url)),
  }
}

/** Resolves to the port. */
export function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      const address = server.address()
      assert(address !== null && typeof address === 'object')
      resolve(address.port)
    })
  })
}

export function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

/**
 * Each preferred port where it is free on loopback, else some free one. All are held until all are
 * known, so that no two are the same.
 */
export async function pickPorts<Name extends string>(
  preferred: Readonly<Record<Name, number>>,
): Promise<Readonly<Record<Name, number>>> {
  const held: Server[] = []
  const hold = async (port: number): Promise<number> => {
    const server = createServer()
    const taken = await listen(server, port, '127.0.0.1')
    held.push(server)
    return taken
  }
  const picked: Record<Name, number> = { ...preferred }
  for (const name in preferred) {
    picked[name] = await hold(preferred[name]).catch(() => hold(0))
  }
  await Promise.all(held.map(close))
  return picked
}

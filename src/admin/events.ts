import type { ServerResponse } from 'node:http'
import type { News, Overview } from '../observe/overview.ts'

/** Readers of the event stream. */
export interface Events {
  /** Answers with all that happens, from now on until one side has enough; false where there are too many readers. */
  readonly send: (response: ServerResponse) => boolean
  readonly close: () => void
}

const mostReaders = 50
/** What a reader may leave unread beside the history that it is given first, in bytes. */
const mostUnread = 1024 * 1024

/** Server-sent events (WHATWG HTML §9.2), each with one line of JSON. */
export function createEvents(overview: Pick<Overview, 'watch'>): Events {
  const readers = new Set<ServerResponse>()
  return {
    send(response) {
      if (readers.size >= mostReaders) return false
      readers.add(response)
      response.writeHead(200, { 'Content-Type': 'text/event-stream' })
      let most = Number.POSITIVE_INFINITY
      const unwatch = overview.watch((news) => {
        // Who has stopped reading is not waited for, and takes no memory.
        if (response.writableLength > most) response.destroy()
        else response.write(line(news))
      })
      most = response.writableLength + mostUnread
      response.once('close', () => {
        unwatch()
        readers.delete(response)
      })
      return true
    },
    close() {
      for (const response of readers) response.end()
    },
  }
}

/** The same news go to every reader. */
const lines = new WeakMap<News, string>()

function line(news: News): string {
  const known = lines.get(news) ?? `event: ${news.name}\ndata: ${JSON.stringify(news.value)}\n\n`
  lines.set(news, known)
  return known
}

// EventSource sends no Authorization header, and a token has no place in a URL.

/** Longer than three of the events that come every 5 s: the connection is dead. */
const silence = 20_000
const longestWait = 30_000
const largest = 16 * 1024 * 1024

/**
 * Follows /events for good, reconnecting by itself; one event at a time goes to `onEvent(name, value)`.
 * Ends only where the token is missing or wrong, with 'unauthorized', or by the signal.
 * `onLost(why)` is called for each try that failed.
 */
export async function follow({ token, signal, onOpen, onEvent, onLost, hurry }) {
  for (let wait = 1000; !signal.aborted; wait = Math.min(2 * wait, longestWait)) {
    try {
      for await (const event of read(token, signal)) {
        wait = 500
        if (event === 'open') onOpen()
        else hand(onEvent, event)
      }
      onLost('the connection ended')
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof Refused && error.status === 401) return 'unauthorized'
      onLost(error instanceof Refused ? `status ${error.status}` : 'no connection')
    }
    // Not all pages at the same instant, after a restart.
    await pause(wait * (0.75 + Math.random() / 2), hurry)
  }
}

/** A fault of the page's own is one to see, and no reason to reconnect. */
function hand(onEvent, { name, text }) {
  try {
    onEvent(name, JSON.parse(text))
  } catch (error) {
    reportError(error)
  }
}

/** Headers that carry the token; null where none is set. */
export function withToken(token) {
  return token === null ? {} : { authorization: `Bearer ${token}` }
}

class Refused extends Error {
  constructor(status) {
    super()
    this.status = status
  }
}

async function* read(token, signal) {
  const watch = new AbortController()
  const either = AbortSignal.any([signal, watch.signal])
  let timer
  const alive = () => {
    clearTimeout(timer)
    timer = setTimeout(() => watch.abort(), silence)
  }
  try {
    alive()
    const response = await fetch('/events', {
      headers: withToken(token),
      signal: either,
      cache: 'no-store',
    })
    if (!response.ok) throw new Refused(response.status)
    yield 'open'
    const parse = createParser()
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      alive()
      yield* parse(value)
    }
  } finally {
    clearTimeout(timer)
    watch.abort()
  }
}

/**
 * A parser of text/event-stream (HTML, §9.2.6), as far as it has names and text: takes the text as it
 * comes in and gives the events that are whole by then.
 */
export function createParser() {
  let rest = ''
  let name = ''
  let lines = []
  return function* parse(chunk) {
    rest += chunk
    if (rest.length > largest) throw new Error('an event without an end')
    for (;;) {
      const end = /\r\n|\n|\r(?!$)/.exec(rest)
      if (end === null) return
      const line = rest.slice(0, end.index)
      rest = rest.slice(end.index + end[0].length)
      if (line === '') {
        if (lines.length > 0) yield { name: name || 'message', text: lines.join('\n') }
        name = ''
        lines = []
        continue
      }
      const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line)
      if (field === 'event') name = value
      if (field === 'data') lines.push(value)
    }
  }
}

/** `hurry` is an EventTarget whose `hurry` event ends the pause. */
function pause(ms, hurry) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      hurry.removeEventListener('hurry', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    hurry.addEventListener('hurry', done)
  })
}

// <copilot-workspace>: frames the workspace that a link of Copilot Gateway opens. See README.md.

/** Before each link that is asked for because the one before had ended; then the agent is asked. */
const delays = [0, 1000, 5000]
/** A workspace that was open for so long did open: the next refusal begins a new count. */
const settled = 60_000
/** How long before its end a session is renewed, where it lasts three times as long. */
const lead = 5 * 60_000
/** Nearer to its end than this, nothing is tried any more. */
const least = 5000
/** After what opened although its link had ended, or nearly: its session's end is not known, and asked for. */
const soon = [1000, 5000]
/** The refusal that there was none of. */
const none = { status: null, requestId: null }
/** How long a link or a renewal may take. */
const patience = 30_000
/** The longest time that a timer can wait. */
const longest = 2 ** 31 - 1

const sheet = (css) => {
  // The page's policy needs no 'unsafe-inline' for it.
  const made = new CSSStyleSheet()
  made.replaceSync(css)
  return made
}

const style = `
:host { display: block; position: relative; box-sizing: border-box; height: 40rem; color: CanvasText; background: Canvas }
:host([hidden]) { display: none }
iframe { display: block; width: 100%; height: 100%; border: 0 }
iframe.waiting { visibility: hidden }
.panel { position: absolute; inset: 0; overflow: auto; display: grid; place-content: center; justify-items: center; gap: .75rem;
  padding: 1rem; text-align: center; outline: 0; font: 1rem/1.5 system-ui, sans-serif; background: inherit }
.panel[hidden], .panel [hidden] { display: none }
p { margin: 0; max-width: 32rem; overflow-wrap: anywhere; text-wrap: balance }
.reference { font-size: .875rem }
button { min-height: 2.5rem; padding: .375rem 1rem; font: inherit; border: 1px solid ButtonBorder; border-radius: .375rem;
  color: ButtonText; background: ButtonFace; cursor: pointer }
button:focus-visible { outline: 2px solid CanvasText; outline-offset: 2px }
`
let styles = null

// A server that renders pages imports it too, and has no elements.
const Base = globalThis.HTMLElement ?? class {}

export class CopilotWorkspace extends Base {
  static observedAttributes = ['label']

  /** @type {URL | null} */
  #link = null
  #getLink = null
  #state = 'idle'
  /** Ends the timers, listeners and questions of what is shown. */
  #run = new AbortController()
  #tries = 0
  /** The latest refusal, until the workspace opens: what asking in vain came from. */
  #refusal = none
  #openedAt = 0
  /** @type {HTMLIFrameElement | null} */
  #frame = null
  #panel
  #text
  #reference
  #button

  constructor() {
    super()
    const root = this.attachShadow({ mode: 'open' })
    styles ??= sheet(style)
    root.adoptedStyleSheets = [styles]
    this.#panel = document.createElement('div')
    this.#panel.className = 'panel'
    this.#panel.setAttribute('role', 'status')
    this.#panel.tabIndex = -1
    this.#panel.hidden = true
    this.#text = document.createElement('p')
    this.#reference = document.createElement('p')
    this.#reference.className = 'reference'
    this.#button = document.createElement('button')
    this.#button.type = 'button'
    this.#button.textContent = 'Try again'
    this.#button.addEventListener('click', () => this.#again())
    this.#panel.append(this.#text, this.#reference, this.#button)
    root.append(this.#panel)
  }

  get src() {
    return this.#link?.href ?? ''
  }

  set src(value) {
    this.#link = value === null || value === '' ? null : parseLink(value)
    this.#tries = 0
    this.#refusal = none
    if (this.isConnected) this.#open()
  }

  get getLink() {
    return this.#getLink
  }

  set getLink(value) {
    this.#getLink = value
  }

  get state() {
    return this.#state
  }

  attributeChangedCallback() {
    if (this.#frame) this.#frame.title = this.#title()
  }

  connectedCallback() {
    // What was set before the module had loaded stands in the way of the accessors.
    for (const name of ['getLink', 'src']) {
      if (!Object.hasOwn(this, name)) continue
      const value = this[name]
      delete this[name]
      this[name] = value
    }
    if (this.#state === 'idle') this.#open()
  }

  disconnectedCallback() {
    this.#clear()
    this.#show('idle')
  }

  /** Moved by moveBefore(), which keeps the frame as it is. */
  connectedMoveCallback() {}

  /** Another link in the same frame would be a step in the agent's history: each gets a frame of its own. */
  #open() {
    const signal = this.#clear()
    if (this.#link === null) {
      this.#show('idle')
      return
    }
    const link = this.#link
    const end = endOf(link)
    const late = end !== null && end - Date.now() < least
    const frame = this.#makeFrame(link.href)
    frame.title = this.#title()
    frame.className = 'waiting'
    frame.addEventListener(
      'load',
      () => {
        if (this.#state !== 'opening') return
        this.#openedAt = Date.now()
        this.#refusal = none
        frame.className = ''
        const focused = this.shadowRoot?.activeElement === this.#panel
        this.#show('open')
        if (focused) frame.focus()
        if (late) this.#keep(end, signal, soon)
      },
      { signal },
    )
    listen(frame, link.origin, signal, (message) => {
      if (message.type === 'copilot-gateway:refused') this.#refused(message)
    })
    document.addEventListener(
      'securitypolicyviolation',
      ({ disposition, effectiveDirective, blockedURI }) => {
        if (disposition !== 'enforce' || effectiveDirective !== 'frame-src') return
        if (originOf(blockedURI) === link.origin) {
          this.#fail(none, 'This page may not show Copilot.')
        }
      },
      { signal },
    )
    this.#frame = frame
    this.#show('opening')
    this.shadowRoot?.append(frame)
    if (!late) this.#keep(end, signal)
  }

  #refused({ status, requestId, renew }) {
    if (this.#state === 'open' && Date.now() - this.#openedAt > settled) this.#tries = 0
    this.#refusal = { status, requestId }
    if (renew === true && this.#getLink !== null && this.#tries < delays.length) {
      this.#ask('expired')
      return
    }
    this.#fail(this.#refusal, failure(status, renew === true, this.#getLink !== null))
  }

  #again() {
    this.#tries = 0
    this.#panel.focus()
    if (this.#getLink === null) this.#open()
    else this.#ask('retry')
  }

  /** Until there is a link; one that is not got counts as one that did not open. */
  async #ask(reason) {
    const signal = this.#clear()
    this.#show('asking')
    while (this.#tries < delays.length) {
      const delay = delays[this.#tries]
      this.#tries += 1
      try {
        await sleep(delay, signal)
        this.#link = await this.#fresh(reason, signal)
        this.#open()
        return
      } catch {
        if (signal.aborted) return
      }
    }
    this.#fail(this.#refusal, failure(null, false, true))
  }

  async #fresh(reason, signal) {
    const { promise, end, over } = deadline(signal)
    try {
      const asked = Promise.resolve(this.#getLink?.({ reason, signal: over }))
      return parseLink(await Promise.race([asked, promise]))
    } catch (error) {
      // The page's own mistake is told to the page, as one in a listener of its would be.
      if (!over.aborted) reportError(error)
      throw error
    } finally {
      end()
    }
  }

  /** Renews the session before each end that is known, with a new link each time; first after `delays`. */
  async #keep(first, signal, delays = []) {
    let end = first
    const early = [...delays]
    while (end !== null && !signal.aborted) {
      const left = end - Date.now()
      if (left < least && early.length === 0) return
      try {
        await sleep(early.shift() ?? left - Math.min(left / 3, lead), signal)
        // What it was not told of it cannot renew; a third of what is left is the next try's.
        if (this.#getLink === null) continue
        const link = await this.#fresh('renew', signal)
        end = await this.#renew(link, signal)
        early.length = 0
        this.#link = link
      } catch {
        // The next try is nearer to the end, until there is no time left.
      }
    }
  }

  /** Loads the gateway's own page in a hidden frame; resolves to the session's new end. */
  async #renew(link, signal) {
    const frame = this.#makeFrame(new URL(`/.copilot-gateway/renew${link.search}`, link).href)
    frame.hidden = true
    const { promise, end, over } = deadline(signal)
    const answered = new Promise((resolve, reject) => {
      listen(frame, link.origin, over, ({ type, expires }) => {
        if (type === 'copilot-gateway:renewed' && Number.isFinite(expires)) resolve(expires)
        else reject(new Error('not renewed'))
      })
    })
    try {
      this.shadowRoot?.append(frame)
      return await Promise.race([answered, promise])
    } finally {
      end()
      frame.remove()
    }
  }

  #makeFrame(url) {
    const frame = document.createElement('iframe')
    frame.allow = 'clipboard-write'
    // By the page's origin, and no more of it, a refusal finds out who may show it.
    frame.referrerPolicy = 'strict-origin'
    frame.src = url
    return frame
  }

  /** Takes down what is shown, and begins anew. */
  #clear() {
    this.#run.abort()
    this.#run = new AbortController()
    this.#frame?.remove()
    this.#frame = null
    return this.#run.signal
  }

  #fail({ status, requestId }, text) {
    this.#clear()
    const known = typeof requestId === 'string'
    this.#text.textContent = text
    this.#reference.textContent = known ? `Reference: ${requestId} (${status})` : ''
    this.#reference.hidden = !known
    // The link that was refused may do where it was not the link's fault.
    this.#button.hidden = this.#getLink === null && !(status >= 429)
    this.#show('failed', { status, requestId })
  }

  #show(state, { status, requestId } = none) {
    const changed = this.#state !== state
    this.#state = state
    this.#panel.hidden = state === 'idle' || state === 'open'
    if (state === 'opening') this.#text.textContent = 'Opening Copilot…'
    if (state === 'asking') this.#text.textContent = 'Getting a new link…'
    if (state !== 'failed') {
      this.#reference.hidden = true
      this.#button.hidden = true
    }
    if (!changed) return
    this.dispatchEvent(new CustomEvent('copilot-change', { detail: { state, status, requestId } }))
  }

  #title() {
    return this.getAttribute('label') || 'Copilot'
  }
}

/** What an agent reads. */
function failure(status, ended, canAsk) {
  if (ended && canAsk) return 'Copilot did not open with a new link either.'
  if (ended) return 'This link has ended. Open the conversation again.'
  if (status === null) return 'There is no new link for Copilot.'
  if (status === 429) return 'Too many tries. Wait a while before the next one.'
  if (status >= 500) return 'Copilot cannot be reached. It may be back in a moment.'
  return 'This link does not open Copilot.'
}

/** The gateway's messages from exactly this frame: any window can post to this one. */
function listen(frame, origin, signal, onMessage) {
  addEventListener(
    'message',
    ({ data, origin: from, source }) => {
      if (from !== origin || source === null || source !== frame.contentWindow) return
      if (typeof data !== 'object' || data === null) return
      if (typeof data.type === 'string' && data.type.startsWith('copilot-gateway:')) onMessage(data)
    },
    { signal },
  )
}

/** No message of an error quotes it: the link holds the chat. */
function parseLink(value) {
  let link = null
  try {
    link = new URL(value)
  } catch {}
  if (link?.protocol === 'https:' || link?.protocol === 'http:') return link
  throw new TypeError('The link for <copilot-workspace> must be an absolute URL of https')
}

function originOf(url) {
  try {
    return new URL(url).origin
  } catch {
    return null
  }
}

/** When the link's token ends, by what it says; null: it does not say. The gateway alone verifies it. */
function endOf(link) {
  try {
    const claims = (link.searchParams.get('auth') ?? '').split('.')[1] ?? ''
    const { exp } = JSON.parse(atob(claims.replaceAll('-', '+').replaceAll('_', '/')))
    return Number.isFinite(exp) ? exp * 1000 : null
  } catch {
    return null
  }
}

function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(
      () => {
        signal.removeEventListener('abort', stop)
        resolve()
      },
      Math.min(ms, longest),
    )
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop)
  })
}

/** A promise that rejects when it takes too long or the signal says so; `end` takes its timer away. */
function deadline(signal) {
  const over = new AbortController()
  const end = () => {
    signal.removeEventListener('abort', end)
    over.abort()
  }
  signal.addEventListener('abort', end)
  const promise = sleep(patience, over.signal).then(() => {
    throw new Error('took too long')
  })
  promise.catch(() => {})
  return { promise, end, over: over.signal }
}

// Two copies of this module can be on a page.
if (globalThis.customElements && !customElements.get('copilot-workspace')) {
  customElements.define('copilot-workspace', CopilotWorkspace)
}

import { createHash } from 'node:crypto'

const style = `
:root { color-scheme: light dark; --text: #1b1f24; --muted: #57606a; --page: #fff; --line: #d0d7de; --link: #0550ae }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --muted: #9198a1; --page: #0d1117; --line: #3d444d; --link: #79b8ff }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--text); font: 1rem/1.5 system-ui, sans-serif }
main { max-width: 32rem; margin: 0 auto; padding: clamp(1.25rem, 8vw, 4rem) clamp(.75rem, 4vw, 2rem) }
h1 { margin: 0 0 .75rem; font-size: 1.25rem; line-height: 1.3; text-wrap: balance }
p { margin: 0 0 1rem }
a { color: var(--link) }
footer { margin-top: 1.5rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--muted); font-size: .875rem }
code { font: .8125rem/1.5 ui-monospace, monospace; color: var(--text); overflow-wrap: anywhere }
`

// Every ancestor: CSP has chosen them already, and the desktop may be several frames up.
const script = `
const { type, requestId, status, renew, expires } = document.documentElement.dataset
const message = { type, requestId }
if (status) Object.assign(message, { status: Number(status), renew: renew === 'true' })
if (expires) message.expires = Number(expires)
for (let frame = window; frame !== frame.parent; ) {
  frame = frame.parent
  frame.postMessage(message, '*')
}
`

/** The CSP of the gateway's own pages, but for their frame ancestors. */
export const pageCsp = [
  "default-src 'none'",
  `style-src 'sha256-${sha256(style)}'`,
  `script-src 'sha256-${sha256(script)}'`,
  "base-uri 'none'",
  "form-action 'none'",
].join('; ')

const retry = '<p><a href="">Try again</a></p>'
const reopen = '<p>Open the conversation again from your contact center: that makes a new link.</p>'

/** What an agent reads, by status: what it means for them, and what to do. */
const texts: Readonly<Record<number, readonly [title: string, text: string]>> = {
  400: ['This link is damaged', reopen],
  401: ['This link does not let you in', reopen],
  403: ['This conversation cannot be opened with this link', reopen],
  404: ['This link leads nowhere any more', reopen],
  408: ['The connection was too slow', retry],
  413: ['This file is too large', '<p>Send a smaller file.</p>'],
  431: ['This link is too long', reopen],
  429: ['Too many tries', `<p>Wait a while before the next one.</p>${retry}`],
  503: ['Copilot is busy', `<p>It may have room in a moment.</p>${retry}`],
  502: ['Copilot cannot be reached', `<p>It may be back in a moment.</p>${retry}`],
  504: ['Copilot takes too long to answer', `<p>It may be back in a moment.</p>${retry}`],
}
const otherwise = ['Copilot could not be opened', retry] as const

/** What a page tells every frame around it, by postMessage. */
export type Message =
  | {
      readonly type: 'copilot-gateway:refused'
      readonly requestId: string
      readonly status: number
      /** Whether a fresh link would help. */
      readonly renew: boolean
    }
  | {
      readonly type: 'copilot-gateway:renewed'
      readonly requestId: string
      /** When the session ends now, in ms since the epoch. */
      readonly expires: number
    }
  | { readonly type: 'copilot-gateway:logged-out'; readonly requestId: string }

/** The request id leads to the reason in the audit log. */
export function refusalPage(status: number, requestId: string, renew: boolean): string {
  const [title, text] = texts[status] ?? otherwise
  const footer = `<footer>If it happens again, give your administrator this reference:<br><code>${requestId}</code></footer>`
  return page(title, text + footer, { type: 'copilot-gateway:refused', status, requestId, renew })
}

/** A page that fits a side panel of 320 px. `html` is trusted. */
export function page(title: string, html: string, message: Message): string {
  const said = Object.entries(message).map(
    ([name, value]) => ` data-${name.replace('Id', '-id')}="${value}"`,
  )
  return `<!doctype html>
<html lang="en"${said.join('')}>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${style}</style>
<main>
<h1>${title}</h1>
${html}
</main>
<script>${script}</script>
</html>
`
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64')
}

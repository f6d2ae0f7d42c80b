import type { Conversation, Line } from './conversations.ts'

export const config = {
  grid: { columns: 5, rows: 8, gap: 12 },
  tiles: {
    identity: { x: 1, y: 1, columns: 2, rows: 4 },
    suggestion: { x: 3, y: 1, columns: 3, rows: 3 },
    summary: { x: 1, y: 5, columns: 2, rows: 4 },
    transcript: { x: 3, y: 4, columns: 3, rows: 5 },
  },
} as const

export function identityTile({ customer }: Conversation): string {
  const rows = [
    ['Name', customer.name],
    ['Number', customer.number],
    ['Since', customer.since],
    ['Ticket', customer.ticket],
    ['Languages', customer.language],
  ] as const
  const list = rows.map(([name, value]) => `<dt>${name}</dt><dd>${escapeHtml(value)}</dd>`).join('')
  return tile('Customer', `<dl>${list}</dl>`)
}

export function summaryTile(points: readonly string[]): string {
  return tile(
    'Summary',
    `<ul>${points.map((point) => `<li>${escapeHtml(point)}</li>`).join('')}</ul>`,
  )
}

/** Its button runs by an inline script, as tiles made in a flow do. */
export function suggestionTile(suggestion: string | null, listening: boolean): string {
  if (listening) return tile('Suggested answer', '<p class="quiet">Listening to the customer.</p>')
  if (suggestion === null) return tile('Suggested answer', '<p class="quiet">Nothing is open.</p>')
  return tile(
    'Suggested answer',
    `<p>${escapeHtml(suggestion)}</p>
<p><button type="button" id="use">Use this answer</button></p>
<script>document.getElementById('use').onclick = () => SDK.postback('use-answer')</script>`,
  )
}

const speakers = { bot: 'Bot', agent: 'You' } as const

export function transcriptTile(lines: readonly Line[], customer: string): string {
  const items = lines
    .map(({ from, text }) => {
      const speaker = from === 'customer' ? customer : speakers[from]
      return `<li class="${from}"><b>${escapeHtml(speaker)}</b> ${escapeHtml(text)}</li>`
    })
    .join('')
  return tile(
    'Transcript',
    `<ol class="transcript">${items}</ol>
<script>onload = onresize = () => { document.scrollingElement.scrollTop = document.scrollingElement.scrollHeight }</script>`,
  )
}

function tile(heading: string, content: string): string {
  return `<title>${heading}</title><h2>${heading}</h2>${content}`
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`)
}

import type { IncomingHttpHeaders } from 'node:http'

/**
 * Whether an agent's browser opens a link, in a tab or a frame: no prefetch and no script, as far as
 * Fetch Metadata tells. What has none, such as Safari before 16.4 or anything over plain HTTP, is believed.
 */
export function isOpening(headers: IncomingHttpHeaders): boolean {
  const [mode, destination] = [headers['sec-fetch-mode'], headers['sec-fetch-dest']]
  const purposes = [
    headers['sec-purpose'],
    headers['purpose'],
    headers['x-moz'],
    headers['x-purpose'],
  ]
  if (purposes.some((purpose) => /prefetch|prerender|preview/i.test(String(purpose)))) return false
  if (mode !== undefined && mode !== 'navigate') return false
  return destination === undefined || ['document', 'iframe', 'frame'].includes(String(destination))
}

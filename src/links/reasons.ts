/** Every reason to refuse at the links API, and the status the client sees of it. */
export const denials = {
  'request-malformed': 400,
  'client-missing': 401,
  'client-invalid': 401,
  'origin-refused': 403,
  'url-token-unknown': 403,
  'no-navigation': 403,
  'not-found': 404,
  'link-unknown': 404,
  'body-too-large': 413,
  'not-json': 415,
  'rate-limited': 429,
  'internal-error': 500,
  'store-full': 503,
  'state-unreachable': 503,
} as const

export type Reason = keyof typeof denials

/** The reason that Fastify's own errors come to, which have a status alone. */
export function reasonOf(status: number): Reason {
  if (status === 413) return 'body-too-large'
  if (status === 415) return 'not-json'
  return status < 500 ? 'request-malformed' : 'internal-error'
}

import type { IncomingHttpHeaders } from 'node:http'
import { type Check, type Examined, fail, type Outcome, pass, skip, warn } from './check.ts'
import { stranger } from './credentials.ts'
import { type Answer, isHtml } from './probe.ts'

type Judge = (answer: Answer) => Outcome | null

interface Row {
  readonly id: string
  readonly promise: string
  readonly remedy: string
  readonly needs: 'answers' | 'tls'
  /** What is wrong with an answer; null for nothing. */
  readonly judge: Judge
}

const inFront = 'Look what adds or removes it in front of the gateway.'

const rows: readonly Row[] = [
  {
    id: 'frame-ancestors',
    promise: 'Every answer has one effective frame-ancestors, which names sites.',
    remedy: `Set FRAME_ANCESTORS to the contact center’s pages. ${inFront}`,
    needs: 'answers',
    judge({ headers, welcome, status }) {
      const [sources, ...others] = new Set(frameAncestors(headers))
      if (sources === undefined) return fail('no frame-ancestors')
      if (others.length > 0) return fail('several, of which only what all allow is allowed')
      const wide = sources.split(' ').find((source) => /^(?:[a-z]+:(?:\/\/)?)?\*?$/i.test(source))
      if (wide !== undefined) return fail(`any site may frame it: ${wide}`)
      const nobody = welcome && status < 400 && sources === "'none'"
      return nobody ? warn("'none': no page may frame it") : null
    },
  },
  {
    id: 'x-frame-options',
    promise: 'No answer has X-Frame-Options, which would shut the contact center out.',
    remedy: inFront,
    needs: 'answers',
    judge: ({ headers }) =>
      headers['x-frame-options'] === undefined ? null : fail(`${headers['x-frame-options']}`),
  },
  {
    id: 'nosniff',
    promise: 'Every answer has X-Content-Type-Options: nosniff.',
    remedy: inFront,
    needs: 'answers',
    judge: ({ headers }) => (headers['x-content-type-options'] === 'nosniff' ? null : fail('none')),
  },
  {
    id: 'referrer-policy',
    promise: 'Every answer has a Referrer-Policy that keeps the link from other sites.',
    remedy: inFront,
    needs: 'answers',
    judge({ headers }) {
      const policy = String(headers['referrer-policy'] ?? 'none')
      return ['same-origin', 'no-referrer'].includes(policy) ? null : fail(policy)
    },
  },
  {
    id: 'request-id',
    promise: 'Every answer has an X-Request-Id, by which the audit log tells its reason.',
    remedy: inFront,
    needs: 'answers',
    judge: ({ headers }) => (headers['x-request-id'] === undefined ? fail('none') : null),
  },
  {
    id: 'challenge',
    promise: 'Every 401 has WWW-Authenticate, of the scheme Bearer.',
    remedy: inFront,
    needs: 'answers',
    judge({ status, headers }) {
      const challenge = headers['www-authenticate'] ?? 'none'
      return status === 401 && !/^Bearer\b/i.test(challenge) ? fail(challenge) : null
    },
  },
  {
    id: 'forwarding-headers',
    promise: 'What a client says about itself in forwarding headers is not believed.',
    remedy:
      'Keep TRUST_PROXY to the proxies in front, and have them overwrite X-Request-Id and X-Forwarded-*.',
    needs: 'answers',
    judge: ({ headers }) =>
      headers['x-request-id'] === stranger ? warn('the request id is the one that was sent') : null,
  },
  {
    id: 'product-names',
    promise: 'No answer names the software behind it (Server, X-Powered-By).',
    remedy: `${inFront} A version is worse than a name (nginx: server_tokens off).`,
    needs: 'answers',
    judge({ headers: { server, 'x-powered-by': framework } }) {
      if (framework !== undefined) return fail(`X-Powered-By: ${framework}`)
      if (server === undefined) return null
      return /\d/.test(`${server}`) ? fail(`Server: ${server}`) : warn(`Server: ${server}`)
    },
  },
  {
    id: 'cors',
    promise: 'No answer lets a foreign page read it (Access-Control-Allow-*).',
    remedy: inFront,
    needs: 'answers',
    judge({ headers }) {
      const named = Object.keys(headers).find((name) => name.startsWith('access-control-allow-'))
      return named === undefined ? null : fail(named)
    },
  },
  {
    id: 'no-store',
    promise: 'No refusal and no document may be kept by a cache, and nothing by a shared one.',
    remedy: 'Have what is in front leave Cache-Control alone, and cache nothing there.',
    needs: 'answers',
    judge({ headers, welcome, status }) {
      const control = headers['cache-control'] ?? 'no Cache-Control'
      if (isHtml(headers) || (!welcome && status >= 400)) {
        return /(?:^|,)\s*no-store\s*(?:,|$)/i.test(control) ? null : fail(control)
      }
      return /\b(?:public|s-maxage)\b/i.test(control) ? fail(control) : null
    },
  },
  {
    id: 'hsts',
    promise: 'Every answer has Strict-Transport-Security, of half a year or more.',
    remedy: `Set PUBLIC_URL (https) where TLS ends in front of the gateway. ${inFront}`,
    needs: 'tls',
    judge({ headers }) {
      const age = /^\s*max-age="?(\d+)/i.exec(headers['strict-transport-security'] ?? '')?.[1]
      if (age === undefined) return fail('none')
      return Number(age) < 180 * 86_400 ? warn(`max-age=${age}`) : null
    },
  },
]

/** What every answer so far has to carry, whatever kind it was. */
export const headers: readonly Check[] = rows.map(({ judge, ...described }) => ({
  ...described,
  run({ probe }: Examined) {
    // A 101 is no document, and what is in front may well have made its head.
    const judged = probe.answers.filter(({ status, stopped }) => status !== 101 && !stopped)
    if (judged.length === 0) return skip('there was no answer')
    return together(judged, judge) ?? pass(`on ${judged.length} answers`)
  },
}))

/** What is wrong with them all: the worst verdict, and who shows what. */
function together(answers: readonly Answer[], judge: Judge): Outcome | null {
  const kinds = new Map<string, Set<string>>()
  let worst: Outcome | null = null
  for (const answer of answers) {
    const outcome = judge(answer)
    if (outcome === null) continue
    kinds.set(outcome.seen, (kinds.get(outcome.seen) ?? new Set()).add(answer.kind))
    if (worst?.verdict !== 'fail') worst = outcome
  }
  const seen = [...kinds].map(([problem, on]) => `${problem} (${[...on].join(', ')})`).join('; ')
  return worst && { ...worst, seen }
}

/** The sources of each policy that has the directive; of a repeated one the first counts (CSP3 §2.2.1). */
function frameAncestors(headers: IncomingHttpHeaders): string[] {
  const policies = [headers['content-security-policy'] ?? []].flat().join(',').split(',')
  return policies.flatMap((policy) => {
    const directives = policy.split(';').map((directive) => directive.trim().split(/\s+/))
    const found = directives.find(([name = '']) => name.toLowerCase() === 'frame-ancestors')
    return found === undefined ? [] : [found.slice(1).join(' ') || "'none'"]
  })
}

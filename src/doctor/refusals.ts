import { type Check, fail, type Outcome, pass } from './check.ts'
import {
  broken,
  madeUp,
  pathAt,
  queryOf,
  signedByExample,
  stranger,
  unsigned,
} from './credentials.ts'
import { type Answer, isHtml } from './probe.ts'

/** A site that nobody has (RFC 6761 §6.4). */
export const foreignOrigin = 'https://doctor.invalid'

/** Nobody gets in without a credential. */
export const refusals: readonly Check[] = [
  {
    id: 'no-token',
    promise: 'A request without a token is refused with 401 and problem details.',
    remedy: 'Everything on this address has to go through the gateway; look what answers instead.',
    needs: 'answers',
    async run({ probe, place }) {
      const headers = [['X-Request-Id', stranger]] as const
      const answer = await probe.ask({ target: pathAt(place.url), headers })
      const isProblem = answer.headers['content-type'] === 'application/problem+json'
      return answer.status === 401 && !isProblem
        ? fail('401 without problem details')
        : refused(answer, 401)
    },
  },
  {
    id: 'broken-token',
    promise: 'A broken token is refused, and a browser gets a page that can load nothing.',
    remedy: 'Look which part answers in place of the gateway, or changes its page.',
    needs: 'answers',
    async run({ probe, place, link }) {
      const query = queryOf(link ?? madeUp, { auth: broken })
      const target = `${pathAt(place.url)}?${query}`
      const answer = await probe.ask({ target, accept: 'text/html' })
      const policy = String(answer.headers['content-security-policy'])
      const strict = /(?:^|;)\s*default-src 'none'/.test(policy)
      if (!isHtml(answer.headers)) return fail(`${answer.kind}, which is no page`)
      return strict ? refused(answer, 401) : fail(`${answer.kind} without a strict CSP`)
    },
  },
  {
    id: 'unsigned-token',
    promise: 'A token that claims to need no signature (alg none) is refused.',
    remedy: 'Close this address at once: whoever knows an agent’s ids gets in.',
    needs: 'answers',
    async run({ probe, place, link }) {
      const query = queryOf(link ?? madeUp, { auth: unsigned(link ?? madeUp) })
      return refused(await probe.ask({ target: `${pathAt(place.url)}?${query}` }), 401)
    },
  },
  {
    id: 'example-secret',
    promise: 'A token signed with the secret of the usual tutorials is refused.',
    remedy: 'Make a secret with openssl rand -hex 32, and share it as hex: in JWT_SECRET.',
    needs: 'answers',
    async run({ probe, place, link, now }) {
      const who = link ?? madeUp
      const query = queryOf(who, { auth: signedByExample(who, now) })
      return refused(await probe.ask({ target: `${pathAt(place.url)}?${query}` }), 401)
    },
  },
  {
    id: 'preflight',
    promise: 'A foreign site’s preflight is refused.',
    remedy: 'Take CORS out of what is in front: the workspace is used by its own page alone.',
    needs: 'answers',
    async run({ probe, place }) {
      const headers = [
        ['Origin', foreignOrigin],
        ['Access-Control-Request-Method', 'GET'],
      ] as const
      const target = pathAt(place.url)
      return refused(await probe.ask({ method: 'OPTIONS', target, headers }), 401)
    },
  },
  {
    id: 'config-closed',
    promise: 'config.js, which names the backend and its token, is not handed to everyone.',
    remedy: 'Lead /config.js through the gateway, and keep it out of PUBLIC_PATHS and of caches.',
    needs: 'answers',
    run: async ({ probe, place }) =>
      refused(await probe.ask({ target: pathAt(place.url, '/config.js') }), 401),
  },
  {
    id: 'backend-closed',
    promise: 'The backend’s polling is refused without a credential.',
    remedy: 'Lead /socket.io/ through the gateway, and close the backend’s own host.',
    needs: 'answers',
    async run({ probe, place }) {
      const target = pathAt(place.url, '/socket.io/?EIO=4&transport=polling')
      return refused(await probe.ask({ target }), 401)
    },
  },
]

/**
 * Passes where the gateway itself refused with this status. The same status of anyone else may as
 * well be the workspace's, and then the request got through.
 */
export function refused(answer: Answer, status: number): Outcome {
  const { kind } = answer
  if (answer.status !== status) return fail(`${kind}; the gateway refuses this with ${status}`)
  return isRefusal(answer) ? pass(kind) : fail(`${kind}, but not of the gateway`)
}

/** Whether the link was let in, whatever the workspace then answered, or if it did not (502, 504). */
export function wasLetIn(answers: readonly Answer[]): boolean {
  return answers.some((answer) => answer.welcome && (answer.status >= 500 || !isRefusal(answer)))
}

/** Whether an answer is one of the gateway's refusals: its own request id is in it. */
export function isRefusal({
  status,
  headers,
  body,
}: Pick<Answer, 'status' | 'headers' | 'body'>): boolean {
  const id = headers['x-request-id']
  const named = isHtml(headers) ? `data-request-id="${id}"` : `"requestId":"${id}"`
  return status >= 400 && id !== undefined && body.includes(named)
}

import { type Check, fail, pass, skip, warn } from './check.ts'
import { type Link, pathAt, queryOf, stranger, tampered } from './credentials.ts'
import { isRefusal, refused } from './refusals.ts'

/** A page opened in a contact center's frame. */
const navigation = [
  ['Sec-Fetch-Site', 'cross-site'],
  ['Sec-Fetch-Mode', 'navigate'],
  ['Sec-Fetch-Dest', 'iframe'],
] as const

/** A link opens its own session and no other. */
export const bindings: readonly Check[] = [
  {
    id: 'link-opens',
    promise: 'The link opens the workspace.',
    remedy:
      'Find the request id in the audit log: the line holds the reason. Secrets that differ are the usual one.',
    needs: 'link',
    async run({ probe, place }, link) {
      const answer = await probe.ask({
        target: `${pathAt(place.url)}?${queryOf(link)}`,
        headers: navigation,
        accept: 'text/html',
        welcome: true,
      })
      const { kind, status, headers } = answer
      if (isRefusal(answer)) return fail(`${kind}, request id ${headers['x-request-id']}`)
      return status < 400 ? pass(kind) : warn(`the workspace itself answers ${status}`)
    },
  },
  {
    id: 'token-ends',
    promise: 'The token has an end (exp).',
    remedy: 'Have the contact center sign exp, then set REQUIRE_EXP: a leaked link works for ever.',
    needs: 'link',
    run: (_, link) => claimed(link, 'exp'),
  },
  {
    id: 'token-binds-url-token',
    promise: 'The token binds the URLToken.',
    remedy: 'Have the contact center sign URLToken too: the query’s is taken on trust otherwise.',
    needs: 'link',
    run: (_, link) => claimed(link, 'URLToken'),
  },
  {
    id: 'tampered-token',
    promise: 'A token with another signature is refused.',
    remedy: 'Close this address at once: tokens are not verified.',
    needs: 'opened',
    async run({ probe, place }, link) {
      const query = queryOf(link, { auth: tampered(link.auth) })
      return refused(await probe.ask({ target: `${pathAt(place.url)}?${query}` }), 401)
    },
  },
  {
    id: 'ended-token',
    promise: 'A token that has ended is refused.',
    remedy: 'Compare the clocks; look what answers in place of the gateway.',
    needs: 'expired',
    run: async ({ probe, place }, expired) =>
      refused(await probe.ask({ target: `${pathAt(place.url)}?${queryOf(expired)}` }), 401),
  },
  ...(
    [
      ['other-user', 'userId'],
      ['other-session', 'sessionId'],
      ['other-url-token', 'URLToken'],
    ] as const
  ).map(
    ([id, name]): Check => ({
      id,
      promise: `The link with another ${name} is refused.`,
      remedy: 'Close this address at once: an agent can open what is not theirs.',
      needs: 'opened',
      async run({ probe, place }, link) {
        if (link.claims?.[name] === undefined) return skip(`the token does not bind ${name}`)
        const query = queryOf(link, { [name]: `${link[name]}.${stranger}` })
        const answer = await probe.ask({ target: `${pathAt(place.url)}?${query}` })
        // A URLToken may point to a contact center whose keys don't verify the token.
        return refused(answer, name === 'URLToken' && answer.status === 401 ? 401 : 403)
      },
    }),
  ),
]

function claimed({ claims, made }: Link, name: string) {
  if (made) return skip('the link was made for this examination')
  return claims?.[name] === undefined ? warn(`no ${name} in it`) : pass(`${name} is in it`)
}

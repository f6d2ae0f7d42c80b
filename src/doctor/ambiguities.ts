import { type Check, pass } from './check.ts'
import { madeUp, pathAt, queryOf, signedByExample, stranger } from './credentials.ts'
import type { Request } from './probe.ts'
import { refused } from './refusals.ts'

const victim = `userId=${stranger}-victim`
const rewritten =
  'Look what rewrites URLs in front of the gateway (nginx: proxy_pass without a path; no merge of slashes or dots): it has to see the target as it came.'
const read =
  'Look what drops or renames parameters in front of the gateway: it has to see the query as it came.'

interface Row {
  readonly id: string
  readonly promise: string
  readonly remedy: string
  /** From the path of the document and the query of a link. */
  readonly ask: (path: string, query: string, otherToken: string) => Request
}

const rows: readonly Row[] = [
  {
    id: 'bracketed-name',
    promise: 'A second user as userId[], which PHP and qs read as userId, is refused.',
    remedy: read,
    ask: (path, query) => ({ target: `${path}?${query}&${victim.replace('=', '[]=')}` }),
  },
  {
    id: 'other-case',
    promise: 'A second user as UserId, which some servers read as userId, is refused.',
    remedy: read,
    ask: (path, query) => ({ target: `${path}?${query}&${victim.replace('u', 'U')}` }),
  },
  {
    id: 'encoded-name',
    promise: 'A second user as %75serId, which is userId once decoded, is refused.',
    remedy: read,
    ask: (path, query) => ({ target: `${path}?${query}&${victim.replace('u', '%75')}` }),
  },
  {
    id: 'repeated-name',
    promise: 'A second userId is refused: servers differ in which one they take.',
    remedy: read,
    ask: (path, query) => ({ target: `${path}?${query}&${victim}` }),
  },
  {
    id: 'semicolon',
    promise: 'A second userId behind a semicolon, where some servers split, is refused.',
    remedy: read,
    ask: (path, query) => ({ target: `${path}?${query}&x=1;${victim}` }),
  },
  {
    id: 'fragment',
    promise: 'A query smuggled behind # is refused: one parser ends there, another goes on.',
    remedy: rewritten,
    ask: (path, query) => ({ target: `${path}#${query}&x=?${victim}` }),
  },
  {
    id: 'dot-segment',
    promise: 'A path with a dot segment is refused.',
    remedy: rewritten,
    ask: (path, query) => ({ target: `${path}./?${query}` }),
  },
  {
    id: 'two-hosts',
    promise: 'A request with two Host headers is refused.',
    remedy: 'Have what is in front refuse it (RFC 9112 §3.2) rather than choose one.',
    ask: (path, query) => ({
      target: `${path}?${query}`,
      headers: [['Host', 'doctor.invalid']],
    }),
  },
  {
    id: 'two-tokens',
    promise: 'A request with two different tokens is refused.',
    remedy: 'Look what takes Authorization away in front of the gateway.',
    ask: (path, query, otherToken) => ({
      target: `${path}?${query}`,
      headers: [['Authorization', `Bearer ${otherToken}`]],
    }),
  },
]

/**
 * What two parsers could read in two ways is refused, for whatever reason it would be let in. A good
 * link shows it best; a made-up one is refused with another status by whoever overlooks the trick.
 */
export const ambiguities: readonly Check[] = rows.map(({ ask, ...described }) => ({
  ...described,
  needs: 'answers',
  async run({ probe, place, link, now }) {
    const who = link ?? madeUp
    const request = ask(pathAt(place.url), queryOf(who), signedByExample(who, now))
    const answer = await probe.ask({ ...request, malformed: true })
    return answer.stopped ? pass(`${answer.status} in front of it`) : refused(answer, 400)
  },
}))

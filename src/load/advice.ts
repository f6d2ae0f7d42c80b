import { plural, printable } from '../report/words.ts'
import { mostFiles } from './agent.ts'
import type { Results } from './results.ts'
import { patience } from './target.ts'
import { span } from './words.ts'

/** What to look at first, in sentences, where the results show what went wrong: what is frequent comes first. */
export function advice(results: Results): readonly string[] {
  const { failures, statuses } = results
  const limited = (statuses.agents['429'] ?? 0) + (statuses.attackers['429'] ?? 0)
  const frequent = Object.entries(failures).sort(([, m], [, n]) => n - m)
  return [
    ...frequent.flatMap(([cause, count]) => {
      const remedy = remedyOf(cause, results)
      return remedy === null ? [] : `${plural(count, 'step')} failed with ${cause}: ${remedy}.`
    }),
    ...(limited === 0
      ? []
      : [
          `${plural(limited, 'request')} got 429 before anyone looked at what was asked: raise RATE_LIMIT for the test.`,
        ]),
  ]
}

/** null where there is nothing to do, or what to do is said of what it follows from. */
function remedyOf(cause: string, { kinds, target }: Results): string | null {
  const where = (['document', 'socket', 'asset'] as const).toSorted(
    (a, b) => kinds[b].failed - kinds[a].failed,
  )[0]
  switch (cause) {
    case 'attack let in':
      return 'take the gateway itself for the base URL, and ENFORCEMENT=enforce'
    case 'ECONNREFUSED':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return `nothing listens at ${printable(target)}: start the gateway, or correct host and port`
    case 'connect timeout':
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'ETIMEDOUT':
      return `nothing answers at ${printable(target)}: look for a firewall, or correct host and port`
    case 'UND_ERR_SOCKET':
    case 'ECONNRESET':
      return 'something cut the connection: where the port speaks TLS write https://, else look at its log'
    case 'no HTTP':
      return `what answers at ${printable(target)} is no HTTP/1.1: correct host and port, or look at what is in front of the gateway`
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
      return 'the port speaks no TLS: write http://'
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      return 'the certificate is not trusted here: name its issuer’s in NODE_EXTRA_CA_CERTS'
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return 'the certificate is another name’s: take that one for the base URL'
    case 'CERT_HAS_EXPIRED':
      return 'renew the certificate'
    case 'timeout':
      return `there was no answer within ${span(patience)}: ask for less load, and look whether the gateway or the workspace is slow`
    case 'too many files':
      return `a page names more than ${mostFiles} of them: look what the workspace serves`
    case '401':
      return where === 'document'
        ? 'look for the reason in the gateway’s log: token-invalid is another JWT_SECRET, token-expired or token-not-active a clock that is wrong'
        : 'the page’s cookie did not come back: look for what takes Set-Cookie or Cookie away on the way'
    case '403':
      return where === 'document'
        ? 'give one of the gateway’s URL_TOKENS as --url-token'
        : `put ${printable(target)} into the gateway’s PUBLIC_URL, or take what it names for the base URL`
    case '404':
      if (where === 'asset') return null
      return where === 'document'
        ? 'correct the path of the base URL, or that of COPILOT_URL'
        : 'let COPILOT_API_URL lead to what serves /socket.io/'
    case '502':
      return `the gateway does not reach ${where === 'socket' ? 'COPILOT_API_URL' : 'COPILOT_URL'}: look for upstream-unreachable in its log`
    case '503':
      return 'the gateway is overloaded or has MAX_CONNECTIONS: ask for less load, or add replicas'
    case '504':
      return 'look at the workspace, which takes longer than UPSTREAM_TIMEOUT'
    case 'CONNECT refused':
      return 'correct the gateway’s COPILOT_API_TOKEN: the backend takes another'
    case 'join refused':
      return 'give the URLToken of an Endpoint that the backend knows as --url-token'
    case '1006':
      return 'sockets were cut: look for a time limit of what is in front, or a gateway that has ended'
    case '1008 session-expired':
      return 'raise SESSION_MAX_AGE for the test, or measure for a shorter time'
    case '1012':
      return 'leave the gateway running: it was stopped'
    default:
      return null
  }
}

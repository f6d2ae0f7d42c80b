import type { Reason } from '../access/decision.ts'

/** What lies behind a refusal, and what to do about it: docs/runbook.md's table of reasons, in Markdown. */
export interface Advice {
  readonly happened: string
  readonly remedy: string
}

export const advice: Readonly<Record<Reason, Advice>> = {
  'target-invalid': {
    happened: 'The request target is not one canonical path, or there is not exactly one Host.',
    remedy: 'Look for a proxy or client that rewrites URLs.',
  },
  'query-ambiguous': {
    happened: 'A parameter is there twice, or a look-alike of one is.',
    remedy:
      'Have the link made with exactly `userId`, `sessionId`, `URLToken` and `auth`. A literal `&amp;` in it does this too.',
  },
  'origin-refused': {
    happened: 'A page other than the workspace used the session.',
    remedy: 'The line may hold a `hint`: `PUBLIC_URL` is missing where TLS ends in front.',
  },
  'token-missing': {
    happened: 'No token and no session.',
    remedy:
      'Have the contact center sign the link (docs/signing.md), or have the links API do it. Where links are signed, the browser kept no cookie.',
  },
  'token-invalid': {
    happened: 'No shared secret verifies the token, or its header or times are unusable.',
    remedy:
      'Compare the secrets and their encoding (`hex:`, `base64:`; without one a secret is text). In the log, `hint` tells what is wrong.',
  },
  'token-expired': {
    happened: 'Past `exp`.',
    remedy: 'The contact center mints a fresh link.',
  },
  'token-not-active': {
    happened: 'Before `nbf`, or `iat` lies ahead.',
    remedy: 'Compare the clocks; see `CLOCK_TOLERANCE`. Times count seconds, not milliseconds.',
  },
  'token-too-old': {
    happened: 'Older than `TOKEN_MAX_AGE`, or without `iat`.',
    remedy: 'The contact center mints a fresh link.',
  },
  'token-conflict': {
    happened: 'Two different tokens in one request.',
    remedy: 'Send the token in `auth` or in `Authorization`, not two.',
  },
  'claim-mismatch': {
    happened:
      'The query names another user, session or URLToken than the token or the session does, or lacks one of the three.',
    remedy:
      'Sign the very ids that the link carries. In the log, `hint` tells of a link that was not signed.',
  },
  'claim-missing': {
    happened: 'The token has no usable `userId` or `sessionId`.',
    remedy: 'Put both in as non-empty text.',
  },
  'session-revoked': {
    happened: 'The session was ended before its time.',
    remedy:
      'It opens again once it would have ended by itself; after a logout, with any link that has not ended.',
  },
  'url-token-unknown': {
    happened: "The URLToken is none of its contact center's.",
    remedy:
      "Put the URLToken on the list (`URL_TOKENS`) if it is the contact center's. In the log, `page` tells which integration sent it.",
  },
  'token-replayed': {
    happened: 'The token opens one session only, and has opened it.',
    remedy: 'The contact center mints a fresh link.',
  },
  'state-unreachable': {
    happened: 'Whether a one-time token was used before could not be told.',
    remedy: 'Look at what the replicas share: Redis was away or slow. Nothing was let in.',
  },
  'session-mismatch': {
    happened: "On Copilot's channel: another session than the socket's, or what can't be read.",
    remedy:
      'In the log, `error` tells which: `foreign-event`, `unreadable-event`. A client that speaks engine.io 3, or JSONP, ends here.',
  },
  'not-found': {
    happened: "Nothing of the gateway's own has this path.",
    remedy: 'Under `/.copilot-gateway/` there are `renew` and `logout`, to be fetched with GET.',
  },
  'request-malformed': {
    happened: 'No HTTP, no WebSocket handshake, or a method that is not carried.',
    remedy: 'Look for what speaks to this port.',
  },
  'request-timeout': {
    happened: 'The head or the body came too slowly.',
    remedy: '`HEADERS_TIMEOUT`, `IDLE_TIMEOUT`',
  },
  'body-too-large': {
    happened: 'The body is over `BODY_LIMIT`.',
    remedy: '`BODY_LIMIT`',
  },
  'headers-too-large': {
    happened: 'The head is over 32 kB.',
    remedy: 'Look for cookies that pile up.',
  },
  'internal-error': {
    happened: 'A fault of the gateway.',
    remedy: 'The line with `"event":"internal-error"` before it holds the stack; please report it.',
  },
  'rate-limited': {
    happened:
      'This address was refused more often than `RATE_LIMIT`; nothing that passes is counted.',
    remedy: 'Look at the lines before: they hold the reasons.',
  },
  overloaded: {
    happened:
      'More connections than `MAX_CONNECTIONS`, or a new session while the process is overloaded.',
    remedy: 'Add replicas.',
  },
  'upstream-unreachable': {
    happened: 'No connection to the workspace, no valid certificate, or no valid answer.',
    remedy:
      '`error` in the line names the fault. `ECONNREFUSED`, `ENOTFOUND`: `COPILOT_URL` or `COPILOT_API_URL`. `DEPTH_ZERO_SELF_SIGNED_CERT`, `UNABLE_TO_VERIFY_LEAF_SIGNATURE`: `UPSTREAM_CA_FILE`. `ERR_TLS_CERT_ALTNAME_INVALID`: the host name.',
  },
  'upstream-unreadable': {
    happened:
      "A page, script or JSON of the workspace's could not be read whole, so that it may hold the API token.",
    remedy:
      'Look at what answers under this path: over 4 MiB, a coding or character set of its own, or a part of a file.',
  },
  'upstream-timeout': {
    happened: 'The workspace did not answer within `UPSTREAM_TIMEOUT`.',
    remedy: 'Look at the workspace.',
  },
}

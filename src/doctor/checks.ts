import { ambiguities } from './ambiguities.ts'
import { bindings } from './bindings.ts'
import type { Check } from './check.ts'
import { cookies } from './cookies.ts'
import { headers } from './headers.ts'
import { leaks } from './leaks.ts'
import { refusals } from './refusals.ts'
import { sockets } from './sockets.ts'
import { address, tls } from './transport.ts'

/** Every check, in the order of a report. Those of headers judge all answers before them. */
export const groups: readonly (readonly [name: string, checks: readonly Check[]])[] = [
  ['Address', address],
  ['TLS', tls],
  ['Without a credential', refusals],
  ['The link', bindings],
  ['Look-alikes', ambiguities],
  ['The session cookie', cookies],
  ['WebSockets', sockets],
  ['Leaks', leaks],
  ['Headers of every answer', headers],
]

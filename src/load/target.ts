import type { LookupAddress } from 'node:dns'
import type { Place } from '../doctor/connection.ts'
import { hostOf } from '../doctor/connection.ts'
import { isLoopback } from '../forward/frame-ancestors.ts'
import { errorCode } from '../settings/parsers.ts'

/** Ms that anything may take to be answered. */
export const patience = 10_000

/** All addresses of a URL's host; a sentence where it has none. */
export async function resolveHost(
  url: URL,
  resolve: (host: string) => Promise<LookupAddress[]>,
): Promise<readonly LookupAddress[] | string> {
  const host = hostOf(url)
  try {
    return await resolve(host)
  } catch (error) {
    const code = errorCode(error)
    if (code === null) throw error
    return `${host} cannot be resolved (${code}): look at the name, and at the DNS of this machine`
  }
}

/**
 * What load may go to: this machine, or what its owner says is theirs. Its name was resolved once, and
 * no second answer of the resolver's can lead elsewhere. A sentence where it must not.
 */
export function findTarget(
  url: URL,
  addresses: readonly LookupAddress[],
  owned: boolean,
): Place | string {
  const host = hostOf(url)
  const foreign = addresses.find(({ address }) => !isLoopback(address))
  if (!owned && foreign !== undefined) {
    const where = foreign.address === host ? host : `${host} is ${foreign.address}, which`
    return `${where} is no loopback address: load goes there only with --yes-i-own-this`
  }
  return { url, addresses, deadline: patience }
}

import type { LookupAddress } from 'node:dns'
import type { Place } from '../doctor/connection.ts'
import { hostOf } from '../doctor/connection.ts'
import { isLoopback } from '../forward/frame-ancestors.ts'
import { errorCode } from '../settings/parsers.ts'

/** Ms that anything may take to be answered. */
export const patience = 10_000

/**
 * What load may go to: this machine, or what its owner says is theirs. Its name is resolved once, and
 * no second answer of the resolver's can lead elsewhere. A sentence where it must not.
 */
export async function findTarget(
  url: URL,
  owned: boolean,
  resolve: (host: string) => Promise<LookupAddress[]>,
): Promise<Place | string> {
  const host = hostOf(url)
  let addresses: LookupAddress[]
  try {
    addresses = await resolve(host)
  } catch (error) {
    const code = errorCode(error)
    if (code === null) throw error
    return `${host} cannot be resolved (${code})`
  }
  const foreign = addresses.find(({ address }) => !isLoopback(address))
  if (!owned && foreign !== undefined) {
    const where = foreign.address === host ? host : `${host} is ${foreign.address}, which`
    return `${where} is no loopback address: load goes there only with --yes-i-own-this`
  }
  return { url, addresses, deadline: patience }
}

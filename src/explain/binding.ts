import type { Query } from '../access/query.ts'
import { hash } from '../access/session.ts'
import type { Jwt, Key, Keyring } from '../access/token.ts'
import { printable } from '../report/words.ts'
import { type Findings, kindOf } from './credential.ts'
import { difference, mistake, type Values } from './values.ts'

/** What of a link's ids the claims of its token say. */
export function bindingFindings(query: Query, { payload }: Jwt, values: Values): Findings {
  const facts: string[] = []
  const hints: string[] = []
  const claims = { userId: claimOf(payload, 'userId'), sessionId: claimOf(payload, 'sessionId') }
  if (
    query.userId !== null &&
    query.userId === claims.sessionId &&
    query.sessionId === claims.userId
  ) {
    return { facts, hints: ['userId and sessionId are swapped, in the link or in the token.'] }
  }
  for (const name of ['userId', 'sessionId', 'URLToken'] as const) {
    const value = query[name]
    const claim = claimOf(payload, name)
    const write = name === 'URLToken' ? values.secret : values.id
    if (value === null) hints.push(`The link has no ${name}.`)
    else if (name === 'URLToken' && value === '') hints.push('The link’s URLToken is empty.')
    else if (payload[name] === undefined && name === 'URLToken') {
      facts.push(`The link’s URLToken is ${write(value)}; the token binds none.`)
    } else if (claim === null) hints.push(unusable(payload, name))
    else if (value === claim) facts.push(`${name} is ${write(value)}, in the link as in the token.`)
    else {
      const what = [`the link’s ${name}`, 'the claim'] as const
      hints.push(
        `${name} is ${write(value)} in the link and ${write(claim)} in the token: ${difference(value, claim, what)}.`,
      )
    }
  }
  return { facts, hints }
}

/** Why a URLToken is none of the contact center's whose key verified the token. */
export function urlTokenHints(
  urlToken: string,
  { contactCenter: { name, urlTokens } }: Key,
  keyring: Keyring,
): string[] {
  const owner = keyring.ownerOf(hash(urlToken))
  if (owner !== null) {
    return [`The URLToken is ${printable(owner)}’s, and the token ${printable(name)}’s.`]
  }
  const known = urlTokens ?? []
  const alike = known
    .map((one) => mistake(urlToken, one, ['the link’s', 'the one on the list']))
    .find((said) => said !== null)
  const count = known.length === 1 ? 'the one URLToken' : `the ${known.length} URLTokens`
  return [
    `The URLToken is none of ${count} of ${printable(name)}${alike === undefined ? '' : `, but very like one: ${alike}`}.`,
  ]
}

/** As text; null where it is none that counts. */
function claimOf(payload: Jwt['payload'], name: string): string | null {
  const claim = payload[name]
  if (typeof claim === 'string' && claim !== '') return claim
  return Number.isSafeInteger(claim) ? String(claim) : null
}

function unusable(payload: Jwt['payload'], name: string): string {
  const claim = payload[name]
  if (claim !== undefined) {
    const what = claim === '' ? 'empty' : kindOf(claim)
    return `The claim ${name} is ${what}: sign non-empty text.`
  }
  const like = Object.keys(payload).find((other) => fold(other) === fold(name))
  return like === undefined
    ? `The token has no claim ${name}.`
    : `The token has ${printable(like)} and no ${name}: claims are spelled exactly.`
}

function fold(name: string): string {
  return name.toLowerCase().replace(/[^a-z]/g, '')
}

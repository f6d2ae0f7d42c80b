import { identity, mostKeys } from '../keys/algorithms.ts'
import type { ContactCenter, PublicKey } from './config.ts'
import { jwksUrl, label, publicKey } from './parsers.ts'
import type { Reader } from './reader.ts'
import { sharedSecrets } from './secrets.ts'
import { type Setting, settings, yamlName } from './table.ts'
import type { YamlMap, YamlNode } from './yaml.ts'

/** The settings that a contact center may have of its own; what it has not it takes from the top level. */
export const ownSettings = [
  settings.frameAncestors,
  settings.urlTokens,
  settings.requireExp,
  settings.tokenMaxAge,
  settings.clockTolerance,
  settings.oneTimeTokens,
  settings.enforcement,
  settings.linksClients,
] as const satisfies readonly Setting[]

export const keysOfContactCenter = ['name', 'secrets', 'keys', ...ownSettings.map(yamlName)]

/** One entry of the YAML file's `contactCenters`. */
export interface Entry {
  readonly name: string
  readonly node: YamlNode
  readonly entries: YamlMap['entries']
}

type Signers = Pick<ContactCenter, 'secrets' | 'publicKeys' | 'jwksUrl'>

/** All entries; one without a name of its own has been refused, and is read for what else is wrong with it. */
export function readEntries(reader: Reader, list: YamlNode): readonly Entry[] {
  if (list.kind !== 'list' || list.items.length === 0) {
    reader.refuse(list, 'must be a list of one contact center or more')
    return []
  }
  const names = new Set<string>()
  return list.items.flatMap((node): Entry[] => {
    const entries = reader.entriesOf(node, keysOfContactCenter)
    if (entries === null) return []
    const named = entries.get('name')
    if (named === undefined) reader.refuse(node, 'needs a name')
    const name = named === undefined ? null : reader.readNode(named, label(64))
    if (named !== undefined && name !== null && names.has(name)) {
      reader.refuse(named, 'is the name of another contact center')
    }
    names.add(name ?? '')
    return [{ name: name ?? '', node, entries }]
  })
}

/** What verifies the links of a contact center; null where it is wrong. */
export function readSigners(reader: Reader, { name, node, entries }: Entry): Signers | null {
  const [secrets, keys] = [entries.get('secrets'), entries.get('keys')]
  if ((secrets === undefined) === (keys === undefined)) {
    reader.refuse(node, 'needs either secrets or keys')
    return null
  }
  if (secrets !== undefined) {
    const read = readSecrets(reader, secrets)
    return read && { secrets: read, publicKeys: [], jwksUrl: null }
  }
  if (keys?.kind === 'map') {
    const url = reader.entriesOf(keys, ['jwks'])?.get('jwks')
    if (url === undefined) reader.refuse(keys, 'must be {jwks: https://…}, or a list of keys')
    const read = url === undefined ? null : reader.readNode(url, jwksUrl)
    return read && { secrets: [], publicKeys: [], jwksUrl: read }
  }
  const publicKeys = keys === undefined ? null : readPublicKeys(reader, keys, name)
  return publicKeys && { secrets: [], publicKeys, jwksUrl: null }
}

function readSecrets(reader: Reader, list: YamlNode): readonly Buffer[] | null {
  if (list.kind !== 'list' || list.items.length === 0) {
    reader.refuse(list, 'must be a list of {file: path} or {env: NAME}, newest first')
    return null
  }
  const all: Buffer[] = []
  let complete = true
  for (const item of list.items) {
    const secrets = reader.readNode(item, sharedSecrets, 'reference')
    complete &&= secrets !== null
    for (const secret of secrets ?? []) {
      if (all.some((other) => other.equals(secret))) reader.refuse(item, 'holds a secret twice')
      else all.push(secret)
    }
  }
  return complete ? all : null
}

function readPublicKeys(
  reader: Reader,
  list: YamlNode,
  contactCenter: string,
): readonly PublicKey[] | null {
  if (list.kind !== 'list' || list.items.length === 0) {
    reader.refuse(list, 'must be a list of {file: path, kid: id}, or {jwks: https://…}')
    return null
  }
  if (list.items.length > mostKeys) {
    reader.refuse(list, `has ${list.items.length} keys: ${mostKeys} are the most`)
    return null
  }
  const keys: PublicKey[] = []
  for (const item of list.items) {
    const entries = reader.entriesOf(item, ['file', 'kid'])
    const [file, id] = [entries?.get('file'), entries?.get('kid')]
    if (entries !== null && file === undefined) reader.refuse(item, 'needs a file')
    let kid: string | null = contactCenter
    if (id !== undefined) {
      kid = reader.readNode(id, label(256))
    } else if (entries !== null && list.items.length > 1) {
      reader.refuse(item, 'needs a kid, since there are several keys')
      kid = null
    }
    const key = file === undefined ? null : reader.readNode(file, publicKey, 'path')
    if (kid !== null && key !== null) keys.push({ kid, key })
  }
  return keys.length === list.items.length ? keys : null
}

/** All contact centers: those of the YAML file, or else the one of the top level. */
export function readContactCenters(reader: Reader, list: YamlNode | null): ContactCenter[] {
  const top = readPolicy(reader, null)
  if (list === null) {
    const [secrets, urlTokens] = [reader.read(settings.jwtSecret), reader.read(settings.urlTokens)]
    if (urlTokens === null) reader.warn(settings.urlTokens, `is not set: ${unbound}`)
    if (top !== null) doubt(top, reader, reader)
    const linksClients = reader.read(settings.linksClients) ?? []
    if (secrets === null || top === null) return []
    const one = { name: 'default', secrets, publicKeys: [], jwksUrl: null, urlTokens, linksClients }
    return [{ ...one, ...top }]
  }
  for (const setting of [settings.urlTokens, settings.linksClients]) {
    const message = `is of no contact center: each has ${yamlName(setting)} of its own`
    if (reader.isSet(setting)) reader.refuse(setting, message)
  }
  const entries = readEntries(reader, list)
  const placed = entries.flatMap((entry): Placed[] => {
    const own = reader.among(entry.entries)
    const signers = readSigners(reader, entry)
    const policy = readPolicy(own, { policy: top })
    const urlTokens = own.isSet(settings.urlTokens) ? own.read(settings.urlTokens) : null
    const linksClients = own.read(settings.linksClients) ?? []
    if (policy !== null) doubt(policy, own, reader)
    if (signers === null || policy === null) return []
    if (signers.secrets.length === 0 && linksClients.length > 0) {
      own.refuse(settings.linksClients, 'needs secrets: who has the private keys signs its links')
    }
    const verified = { name: entry.name, ...signers, urlTokens, linksClients }
    return [{ entry, contactCenter: { ...verified, ...policy } }]
  })
  const contactCenters = placed.map(({ contactCenter }) => contactCenter)
  const open = contactCenters.filter(({ urlTokens }) => urlTokens === null).length
  if (open > 0) reader.warn(list, `has ${open} without urlTokens: ${unbound}`)
  boundTried(reader, list, contactCenters)
  const named = placed.filter(({ entry }) => entry.name !== '')
  compare(reader, named)
  return contactCenters
}

const unbound = 'a link whose token does not name its URLToken opens any of them'

interface Placed {
  readonly contactCenter: ContactCenter
  readonly entry: Entry
}

type Policy = Pick<ContactCenter, 'frameAncestors' | 'tokens' | 'oneTimeTokens' | 'enforcement'>

/** Reads what is set here, and takes the rest from the top level; null where something is wrong. */
function readPolicy(
  reader: Reader,
  above: { readonly policy: Policy | null } | null,
): Policy | null {
  const top = above?.policy
  function read<T>(setting: Setting<T>, inherited: T | null | undefined): T | null {
    return above === null || reader.isSet(setting) ? reader.read(setting) : (inherited ?? null)
  }
  const frameAncestors = read(settings.frameAncestors, top?.frameAncestors)
  const requireExp = read(settings.requireExp, top?.tokens.requireExp)
  const maxAge = read(settings.tokenMaxAge, top?.tokens.maxAge)
  const clockTolerance = read(settings.clockTolerance, top?.tokens.clockTolerance)
  const oneTimeTokens = read(settings.oneTimeTokens, top?.oneTimeTokens)
  const enforcement = read(settings.enforcement, top?.enforcement)
  if (frameAncestors === null || requireExp === null || clockTolerance === null) return null
  if (oneTimeTokens === null || enforcement === null) return null
  const tokens = { requireExp, maxAge, clockTolerance }
  return { frameAncestors, tokens, oneTimeTokens, enforcement }
}

/** Warns of what a contact center does, each where it is set. */
function doubt({ tokens, oneTimeTokens, enforcement }: Policy, own: Reader, top: Reader): void {
  const readerOf = (setting: Setting): Reader => (own.isSet(setting) ? own : top)
  const warn = (setting: Setting, message: string): void => readerOf(setting).warn(setting, message)
  if (!tokens.requireExp) {
    const end = tokens.maxAge === null ? 'for as long as the secret is' : 'until TOKEN_MAX_AGE'
    warn(settings.requireExp, `is false: tokens without exp are accepted, ${end}`)
  }
  if (oneTimeTokens && !tokens.requireExp && tokens.maxAge === null) {
    const how = 'tokens that never end are remembered until a restart, or for good in Redis'
    warn(settings.oneTimeTokens, `is true without REQUIRE_EXP or TOKEN_MAX_AGE: ${how}`)
  }
  if (enforcement === 'report') {
    const what = 'what should be refused is LET THROUGH, and the log alone says so'
    warn(settings.enforcement, `is report: ${what}`)
  }
  if (!readerOf(settings.frameAncestors).isSet(settings.frameAncestors)) {
    const what = "is not set, so 'none': no page may frame the workspace"
    warn(settings.frameAncestors, what)
  }
}

/** A thousand contact centers may cost a request no more than ten do. */
function boundTried(reader: Reader, list: YamlNode, all: readonly ContactCenter[]): void {
  const untold = all.filter(({ urlTokens }) => urlTokens === null && all.length > 1)
  const tried = untold
    .map(({ secrets, publicKeys, jwksUrl: url }) =>
      url === null ? secrets.length + publicKeys.length : mostKeys,
    )
    .reduce((sum, count) => sum + count, 0)
  if (tried <= triedAlmost) return
  const cost = `a token that names no key is tried against up to ${tried} keys`
  const message = `has ${untold.length} without urlTokens: ${cost}, so give them urlTokens`
  if (tried > triedMost) reader.refuse(list, `${message} (${triedMost} are the most)`)
  else reader.warn(list, message)
}

/** Keys that a token without a known `kid` or URLToken is tried against: worth a warning, and too many. */
const triedAlmost = 16
const triedMost = 64

/** Refuses what would leave open which contact center a token belongs to. */
function compare(reader: Reader, placed: readonly Placed[]): void {
  const owners = new Map<string, ContactCenter>()
  /** The other contact center that has this; the first one to have it is its owner. */
  const otherOwner = (kind: string, text: string, contactCenter: ContactCenter) => {
    const owner = owners.get(`${kind} ${text}`) ?? contactCenter
    owners.set(`${kind} ${text}`, owner)
    return owner === contactCenter ? null : owner
  }
  for (const { contactCenter } of placed) otherOwner('kid', contactCenter.name, contactCenter)
  for (const { contactCenter, entry } of placed) {
    const { name, secrets, publicKeys, jwksUrl: url, urlTokens } = contactCenter
    const at = (key: string): YamlNode => entry.entries.get(key) ?? entry.node

    const tokens = urlTokens?.map((token) => otherOwner('URLToken', token, contactCenter)) ?? []
    const holder = tokens.find((other) => other !== null)
    if (holder) reader.refuse(at('urlTokens'), `has a URLToken of ${quote(holder.name)}`)

    const kids = publicKeys.map(({ kid }) => otherOwner('kid', kid, contactCenter))
    const namesake = kids.find((other) => other !== null)
    if (namesake) {
      reader.refuse(at('keys'), `has a kid that stands for ${quote(namesake.name)}`)
    }
    if (new Set(publicKeys.map(({ kid }) => kid)).size < publicKeys.length) {
      reader.refuse(at('keys'), 'has a kid twice')
    }

    const clients = contactCenter.linksClients.map(({ id }) =>
      otherOwner('client', id, contactCenter),
    )
    const employer = clients.find((other) => other !== null)
    if (employer) {
      reader.refuse(at('linksClients'), `has a client of ${quote(employer.name)}`)
    }

    // Those with URLTokens are told apart by them.
    if (urlTokens !== null) continue
    const verifiers = [
      ...secrets.map((secret) => secret.toString('hex')),
      ...publicKeys.map(({ key }) => identity(key)),
      ...(url === null ? [] : [url.href]),
    ]
    const others = verifiers.map((verifier) => otherOwner('verifier', verifier, contactCenter))
    const twin = others.find((other) => other !== null)
    if (twin) {
      const why = 'which of them a token is of could not be told: give each its own, or urlTokens'
      reader.refuse(
        at(secrets.length > 0 ? 'secrets' : 'keys'),
        `of ${quote(name)} has what ${quote(twin.name)} has too: ${why}`,
      )
    }
  }
}

function quote(name: string): string {
  return JSON.stringify(name)
}

import type { Unwrapped } from './uui-encodings.ts'
import type { CarriedLink, CarriedShortLink } from './uui-link.ts'

/** What will go wrong further on. */
export interface UuiWarning {
  readonly warning: Warning
  readonly message: string
}

type Warning =
  | 'not-signed'
  | 'raw'
  | 'encoding-missing'
  | 'encoding-contradicted'
  | 'discriminator-missing'
  | 'discriminator-twice'
  | 'several-values'
  | 'longer-than-genesys'
  | 'longer-than-salesforce'
  | 'longer-than-talkdesk'

/** What may be said of one value. */
export interface Carried extends Pick<Unwrapped, 'parameters' | 'encodings' | 'octet'> {
  readonly link: CarriedLink | CarriedShortLink
  /** Characters of the value as it was carried, without its parameters. */
  readonly length: number
  /** The discriminator of `pd`; null where there is none. */
  readonly pd: number | null
  /** The header's name in small letters, if it was there. */
  readonly header: string | null
}

/** Genesys: help.mypurecloud.com, "UUI data formats" and "User to User Information (UUI) overview". */
export function warningsOf(carried: Carried): UuiWarning[] {
  const { link, length, parameters, encodings, octet, pd, header } = carried
  const encoding = parameters.get('encoding')?.toLowerCase()
  const isHex = encodings.includes('hex')
  const takenForHex =
    encoding === 'ascii'
      ? ''
      : ', and Genesys Cloud takes it for hex unless ;encoding=ascii is there'
  const rows: readonly (readonly [Warning, boolean, string])[] = [
    [
      'not-signed',
      link.kind === 'link' && !link.signed,
      'The link has no auth: the gateway refuses it until it is signed',
    ],
    [
      'raw',
      encodings.length === 0,
      `A link without quotes ends at a comma or semicolon${takenForHex}`,
    ],
    [
      'encoding-missing',
      isHex && encoding === undefined,
      'The value is hex and does not say so: ;encoding=hex is missing',
    ],
    [
      'encoding-contradicted',
      encoding !== undefined && (encoding === 'hex') !== isHex,
      'The value is not encoded as its encoding parameter says',
    ],
    [
      'discriminator-missing',
      // AudioCodes' header has none.
      isHex && octet === null && pd === null && header !== 'x-user-to-user',
      'There is neither a protocol discriminator nor ;pd=: Genesys Cloud cuts off the first octet',
    ],
    [
      'discriminator-twice',
      octet !== null && pd !== null,
      'There is a protocol discriminator beside ;pd=: Genesys Cloud takes it for a part of the link',
    ],
    [
      'longer-than-genesys',
      length > 128,
      `The value has ${length} characters: Genesys Cloud advises at most 128, as some systems discard more; a short link fits`,
    ],
    [
      'longer-than-salesforce',
      link.url.length > 255,
      `The link has ${link.url.length} characters: a field of Salesforce messaging takes 255; a short link fits`,
    ],
    [
      'longer-than-talkdesk',
      length > 256,
      `The value has ${length} characters: Talkdesk takes 256; a short link fits`,
    ],
  ]
  return rows.flatMap(([warning, holds, message]) => (holds ? [{ warning, message }] : []))
}

// Settings as they are told: a YAML file, .env, variables, and the files that they name.
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { type Config, readConfig } from '../../src/settings/config.ts'
import type { Finding } from '../../src/settings/reader.ts'

export const now = Date.UTC(2026, 0, 1)
export const secrets = ['00', '11', '22'].map((first) =>
  `${first}112233445566778899aabbccddeeff`.repeat(2),
)

const pem = (key: KeyObject): string => {
  const type = key.type === 'private' ? 'pkcs8' : 'spki'
  return key.export({ type, format: 'pem' }).toString()
}
/** The same key with its point compressed (SEC 1 §2.3.3). */
function compressed(key: KeyObject): string {
  const { x = '', y = '' } = key.export({ format: 'jwk' })
  const sign = (Buffer.from(y, 'base64url').at(-1) ?? 0) % 2
  const head = '3039301306072a8648ce3d020106082a8648ce3d030107032200'
  const der = Buffer.from(
    `${head}0${2 + sign}${Buffer.from(x, 'base64url').toString('hex')}`,
    'hex',
  )
  return `-----BEGIN PUBLIC KEY-----\n${der.toString('base64')}\n-----END PUBLIC KEY-----\n`
}

const pair = {
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  small: generateKeyPairSync('rsa', { modulusLength: 1024 }),
  p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  p384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  ed25519: generateKeyPairSync('ed25519'),
}

/** By their paths; `gateway.yaml` lies in `conf`. */
export const files: Readonly<Record<string, string>> = {
  'conf/a': `hex:${secrets[0]}\n`,
  'conf/b': `hex:${secrets[1]}\n`,
  'conf/ab': `hex:${secrets[0]}\nhex:${secrets[1]}\n`,
  '/run/c': `hex:${secrets[2]}`,
  'conf/short': 'hunter2',
  'conf/blank': '\n',
  'conf/rsa.pem': pem(pair.rsa.publicKey),
  'conf/p256.pem': pem(pair.p256.publicKey),
  'conf/compressed.pem': compressed(pair.p256.publicKey),
  'conf/ed25519.pem': pem(pair.ed25519.publicKey),
  'conf/both.pem': pem(pair.p256.publicKey) + pem(pair.rsa.publicKey),
  'conf/small.pem': pem(pair.small.publicKey),
  'conf/p384.pem': pem(pair.p384.publicKey),
  'conf/private.pem': pem(pair.rsa.privateKey),
  'conf/no.pem': '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n',
}

/** Valid, and nothing to warn of. */
export const env = {
  COPILOT_URL: 'https://copilot.example',
  COPILOT_API_TOKEN: 'an-api-token-of-the-backend',
  REQUIRE_EXP: 'true',
  FRAME_ANCESTORS: 'https://cc.example',
}

export interface Told {
  readonly yaml?: string
  /** The text of `.env`. */
  readonly lines?: string
  /** More of them, by their paths. */
  readonly files?: Readonly<Record<string, string | undefined>>
  readonly env?: Readonly<Record<string, string | undefined>>
}

export function tell(told: Told) {
  const { yaml, lines } = told
  const readFile = (path: string): string => {
    const text = { ...files, ...told.files, 'conf/gateway.yaml': yaml, '.env': lines }[path]
    if (text !== undefined) return text
    throw Object.assign(new Error(`ENOENT: no such file, open '${path}'`), { code: 'ENOENT' })
  }
  const places = { env: '.env', yaml: yaml === undefined ? null : 'conf/gateway.yaml' }
  return readConfig({ ...env, ...told.env }, { readFile, now }, places)
}

export function configOf(told: Told): Config {
  const result = tell(told)
  if ('problems' in result) throw new Error(sentences(result.problems).join('\n'))
  return result.config
}

/** What is wrong, or else what is doubtful. */
export function findingsOf(told: Told): string[] {
  const result = tell(told)
  return sentences('problems' in result ? result.problems : result.warnings)
}

export function sentences(findings: readonly Finding[]): string[] {
  return findings.map(({ setting, message }) => `${setting} ${message}`)
}

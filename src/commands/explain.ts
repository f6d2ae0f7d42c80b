import { text } from 'node:stream/consumers'
import { parseArgs, styleText } from 'node:util'
import { explain as explainLink } from '../explain/explain.ts'
import { json, present } from '../explain/present.ts'
import type { Paint } from '../report/words.ts'
import { readSettings, wrongSettings } from './environment.ts'
import { wrongUsage } from './usage.ts'

/** Says what the gateway would say of a link, by the settings alone. Exit code 1 where it is not let in. */
export async function explain(args: readonly string[]): Promise<0 | 1 | 2> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
  const [given, ...others] = positionals
  if (given === undefined || others.length > 0) {
    return wrongUsage('explain needs one link, or - for stdin')
  }
  const read = readSettings(values.config ?? null)
  if ('problems' in read) return wrongSettings(read)
  const { config } = read

  const { default: fastify } = await import('fastify')
  const { createKeyring } = await import('../keys/keyring.ts')
  const keyring = await createKeyring(fastify(), config)
  const known = {
    gate: { ...config, keyring, isRevoked: () => false },
    publicOrigins: config.publicOrigins,
    by: 'settings',
  } as const
  const asked = { page: values.page, show: values.show, now: Date.now() }
  const link = given === '-' ? await text(process.stdin) : given
  const explanation = explainLink(link, known, asked)
  if ('problem' in explanation) {
    const { field, problem } = explanation
    return wrongUsage(`${field === 'page' ? '--page' : 'The link'} ${problem}`)
  }
  process.stdout.write(values.json ? json(explanation) : present(explanation, paint))
  return explanation.verdict === 'refused' ? 1 : 0
}

const options = {
  config: { type: 'string' },
  page: { type: 'string', default: '' },
  show: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const

const paint: Paint = (style, text) => styleText(style, text, { stream: process.stdout })

// Writes docs/gateway.schema.json, which editors hold gateway.yaml to: npm run schema
import { writeFileSync } from 'node:fs'
import { ownSettings } from '../../src/settings/contact-centers.ts'
import { type Form, type Setting, settings, yamlName } from '../../src/settings/table.ts'

export const document = new URL('../../docs/gateway.schema.json', import.meta.url)

type Schema = Readonly<Record<string, unknown>>

const text = { type: 'string', pattern: '\\S' }
const reference = {
  type: 'object',
  description: 'The path of a file, from the folder of this one, or the name of a variable.',
  properties: { file: text, env: text },
  minProperties: 1,
  maxProperties: 1,
  additionalProperties: false,
}

const forms: Readonly<Record<Form, readonly Schema[]>> = {
  path: [text],
  boolean: [{ enum: [true, false, 'true', 'false'] }],
  count: [
    { type: 'integer', minimum: 1, maximum: 999_999_999 },
    { type: 'string', pattern: '^\\s*[1-9]\\d{0,8}\\s*$' },
  ],
  port: [
    { type: 'integer', minimum: 0, maximum: 65535 },
    { type: 'string', pattern: '^\\s*\\d{1,5}\\s*$' },
  ],
  duration: [{ const: 0 }, { type: 'string', pattern: '^\\s*(0|\\d+(\\.\\d+)?(ms|s|m|h|d))\\s*$' }],
  size: [
    { type: 'integer', minimum: 1 },
    { type: 'string', pattern: '^\\s*\\d+(\\.\\d+)?([kKmM]?[bB])?\\s*$' },
  ],
  list: [
    { type: ['string', 'number'], pattern: '\\S' },
    {
      type: 'array',
      minItems: 1,
      items: { type: ['string', 'number'], pattern: '^\\s*\\S+\\s*$' },
    },
  ],
}

/** JSON Schema (draft 7) of the YAML file. */
export function schema(): Schema {
  const contactCenter = {
    type: 'object',
    description: 'Those who sign links. What one has not it takes from the top level.',
    properties: {
      name: { ...text, description: 'Stands in the log and in metrics.', maxLength: 64 },
      secrets: {
        type: 'array',
        description: 'Shared secrets, newest first.',
        minItems: 1,
        items: reference,
      },
      keys: {
        description: 'Public keys: PEM files, or where they are published.',
        anyOf: [
          {
            type: 'array',
            minItems: 1,
            items: objectOf({ file: text, kid: { ...text, maxLength: 256 } }, ['file']),
          },
          objectOf({ jwks: { type: 'string', pattern: '^\\s*[hH][tT][tT][pP][sS]?://' } }, [
            'jwks',
          ]),
        ],
      },
      ...Object.fromEntries(ownSettings.map((setting) => [yamlName(setting), schemaOf(setting)])),
    },
    required: ['name'],
    oneOf: [{ required: ['secrets'] }, { required: ['keys'] }],
    additionalProperties: false,
  }
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Settings of Copilot Gateway',
    ...objectOf({
      ...Object.fromEntries(
        Object.values<Setting>(settings).map((setting) => [yamlName(setting), schemaOf(setting)]),
      ),
      contactCenters: { type: 'array', minItems: 1, items: contactCenter },
    }),
    not: { required: ['contactCenters', 'urlTokens'] },
  }
}

function objectOf(properties: Schema, required: readonly string[] = []): Schema {
  return {
    type: 'object',
    properties,
    ...(required.length > 0 && { required }),
    additionalProperties: false,
  }
}

function schemaOf({ meaning, default: standard, absent, file, form, words }: Setting): Schema {
  const written = file ? [reference] : form ? forms[form] : words ? [] : [text]
  const values = [...written, ...(words ? [{ enum: words }] : [])]
  const description = `${meaning} Default: ${standard ?? absent}.`
  return values.length === 1 ? { ...values[0], description } : { description, anyOf: values }
}

if (import.meta.main) writeFileSync(document, JSON.stringify(schema(), null, 2))

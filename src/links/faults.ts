import type { FastifySchemaValidationError } from 'fastify/types/schema.js'
import { repeatedKey } from '../forward/repeated-key.ts'
import { alternativeOf } from './schemas.ts'

/** What is wrong with a field of a request. */
export interface Fault {
  /** Dotted where it lies within another; empty: the body as a whole. */
  readonly field: string
  readonly problem: string
}

/** A body that can't be read, or could be read in two ways. */
export class Unreadable extends Error {
  readonly fault: Fault

  constructor(fault: Fault) {
    super(fault.problem)
    this.fault = fault
  }
}

/** Reads JSON that every parser reads alike; throws an Unreadable. */
export function readJson(text: string): unknown {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    throw new Unreadable({ field: '', problem: 'is not JSON' })
  }
  const field = repeatedKey(text)
  if (field !== null) throw new Unreadable({ field, problem: 'is there twice' })
  return body
}

/** What an error that came up on the way to a handler, or in one, means for the client. */
export function readError(
  error: unknown,
  body: unknown,
): { readonly status: number; readonly faults: readonly Fault[] } {
  if (!(error instanceof Error)) return { status: 500, faults: [] }
  if ('validation' in error && Array.isArray(error.validation)) {
    return { status: 400, faults: faultsOf(error.validation, alternativeOf(body)) }
  }
  if (error instanceof Unreadable) return { status: 400, faults: [error.fault] }
  return { status: Number(Reflect.get(error, 'statusCode') ?? 500), faults: [] }
}

/** Of alternatives it is the one that the body seems to mean that counts. */
function faultsOf(errors: readonly FastifySchemaValidationError[], alternative: number): Fault[] {
  const unmeant = (path: string): boolean =>
    path.startsWith('#/oneOf') && !path.startsWith(`#/oneOf/${alternative}/`)
  return errors.flatMap(({ schemaPath, instancePath, keyword, params, message }): Fault[] => {
    if (unmeant(schemaPath)) return []
    const path = instancePath.slice(1).replaceAll('/', '.')
    const inner = (name: unknown): string => (path === '' ? '' : `${path}.`) + String(name)
    switch (keyword) {
      case 'required':
        return [{ field: inner(params['missingProperty']), problem: 'is missing' }]
      case 'additionalProperties':
        return [extra(inner(params['additionalProperty']), alternative)]
      case 'minLength':
        return [{ field: path, problem: 'is empty' }]
      case 'maxLength':
        return [{ field: path, problem: `has more than ${params['limit']} characters` }]
      case 'pattern':
        return [{ field: path, problem: 'must be a number and ms, s, m, h or d, such as 8h' }]
      case 'type':
        return [{ field: path, problem: `must be ${[params['type']].flat().join(' or ')}` }]
      case 'minimum':
        return [{ field: path, problem: `must be ${params['limit']} or more` }]
      case 'maximum':
        return [{ field: path, problem: `must be ${params['limit']} or less` }]
      default:
        return [{ field: path, problem: message ?? 'is wrong' }]
    }
  })
}

/** A field that no link is asked for by, or not together with the one that counts. */
function extra(field: string, alternative: number): Fault {
  const counts = ['', 'url', 'uui'][alternative] ?? ''
  const isAnother = ['userId', 'sessionId', 'urlToken', 'uui'].includes(field)
  const problem = counts !== '' && isAnother ? `has no place beside ${counts}` : 'is not known here'
  return { field, problem }
}

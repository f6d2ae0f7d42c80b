import { codeOf } from '../doctor/connection.ts'

/** A step that was not answered as it should be; the message says why, in words that may be shown. */
export class Failure extends Error {}

/** Why a step failed; whatever else was thrown is a fault of our own. */
export function whyOf(error: unknown): string {
  return error instanceof Failure ? error.message : codeOf(error)
}

import { decode } from '../access/target.ts'

/** What is wrong with a request, by the name of the parameter. */
export class Invalid {
  readonly field: string
  readonly detail: string

  constructor(field: string, detail: string) {
    // The name may be the client's: no more of it is repeated than it takes to find it.
    this.field = field.slice(0, 64)
    this.detail = detail
  }
}

export const isMalformed = 'is not percent-encoded as it should be'

/** The parameters of a query, of which there are none but these and each at most once. */
export function readParameters(
  query: string,
  names: readonly string[],
): ReadonlyMap<string, string> | Invalid {
  const values = new Map<string, string>()
  for (const parameter of query === '' ? [] : query.split('&')) {
    const [name = '', ...rest] = parameter.split('=')
    if (!names.includes(name)) return new Invalid(name, 'is not known here')
    if (values.has(name)) return new Invalid(name, 'is there twice')
    const value = decode(rest.join('=').replaceAll('+', ' '))
    if (value === null) return new Invalid(name, isMalformed)
    values.set(name, value)
  }
  return values
}

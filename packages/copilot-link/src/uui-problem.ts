/** Why a User-to-User value opens nothing. No message quotes the value. */
export interface UuiProblem {
  readonly kind: 'problem'
  readonly problem:
    | 'empty'
    | 'too-long'
    | 'malformed'
    | 'encoding-invalid'
    | 'first-octet-lost'
    | 'no-link'
    | 'link-incomplete'
    | 'link-ambiguous'
  readonly message: string
}

export function wrong(problem: UuiProblem['problem'], message: string): UuiProblem {
  return { kind: 'problem', problem, message }
}

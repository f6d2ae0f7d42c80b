/**
 * The Content-Security-Policy header values of an answer, with `frame-ancestors` made the given
 * sources and nothing else changed (CSP3 §2.2: a policy list per value, commas between policies).
 * An added header would intersect with the upstream's, an overwritten one would lose it.
 */
export function withFrameAncestors(values: readonly string[], sources: string): string[] {
  const directive = `frame-ancestors ${sources}`
  let replaced = false
  const replacedValues = values.map((value) =>
    value
      .split(',')
      .map((policy) =>
        policy
          .split(';')
          .map((text) => {
            if (!isFrameAncestors(text)) return text
            replaced = true
            return /^[\t\n\f\r ]*/.exec(text)?.[0] + directive
          })
          .join(';'),
      )
      .join(','),
  )
  if (replaced) return replacedValues

  const first = values.findIndex((value) => value.split(',').some(isPolicy))
  if (first < 0) return [...values.filter((value) => /[^\t\n\f\r ]/.test(value)), directive]
  return values.map((value, index) => (index === first ? appended(value, directive) : value))
}

// White space is ASCII's in CSP: a hard space makes a directive that no browser knows.
function isFrameAncestors(directive: string): boolean {
  return /^[\t\n\f\r ]*frame-ancestors(?:[\t\n\f\r ]|$)/i.test(directive)
}

function isPolicy(text: string): boolean {
  return /[^;\t\n\f\r ]/.test(text)
}

function appended(value: string, directive: string): string {
  const policies = value.split(',')
  const at = policies.findIndex(isPolicy)
  const policy = policies[at] ?? ''
  let end = policy.length
  // A regular expression for an end looks from every beginning.
  while (end > 0 && !isPolicy(policy[end - 1] ?? '')) end -= 1
  return policies.with(at, `${policy.slice(0, end)}; ${directive}`).join(',')
}

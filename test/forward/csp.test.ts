import t from 'tap'
import { withFrameAncestors } from '../../src/forward/csp.ts'

const ours = 'https://cc.example https://*.cc.example:8443'
const set = `frame-ancestors ${ours}`

t.test('a policy that is nothing but ends is read in no time', (t) => {
  const [value] = withFrameAncestors([`${';'.repeat(60_000)}x`], "'none'")
  t.match(value, /x; frame-ancestors 'none'$/)
  t.end()
})

t.test('frame-ancestors becomes the contact center’s and all else stays', (t) => {
  const rows: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ['no header', [], [set]],
    ['an empty one', [''], [set]],
    ['spaces', ['  '], [set]],
    ['semicolons', [';;'], [';;', set]],
    ['a policy without one', ["default-src 'self'"], [`default-src 'self'; ${set}`]],
    ['ending in ;', ["default-src 'self';"], [`default-src 'self'; ${set}`]],
    ['ending in ; and space', ["default-src 'self' ; "], [`default-src 'self'; ${set}`]],
    ['alone', ["frame-ancestors 'none'"], [set]],
    ['that lets all', ['frame-ancestors *'], [set]],
    ['without a value', ['frame-ancestors'], [set]],
    ['without a value, before others', ['frame-ancestors;a b'], [`${set};a b`]],
    ['first', ["frame-ancestors 'self'; default-src 'self'"], [`${set}; default-src 'self'`]],
    ['last', ["default-src 'self'; frame-ancestors a b"], [`default-src 'self'; ${set}`]],
    ['between', ['a b; frame-ancestors c; d e'], [`a b; ${set}; d e`]],
    ['without space', ['a b;frame-ancestors c;d e'], [`a b;${set};d e`]],
    ['in upper case', ["FRAME-ANCESTORS 'none'"], [set]],
    ['in mixed case', ['Frame-Ancestors *'], [set]],
    ['with a tab', ['frame-ancestors\t*'], [set]],
    [
      'before another policy',
      ["frame-ancestors *, default-src 'self'"],
      [`${set}, default-src 'self'`],
    ],
    [
      'in a later policy',
      ["default-src 'self', frame-ancestors *"],
      [`default-src 'self', ${set}`],
    ],
    ['in each policy', ['frame-ancestors a, frame-ancestors b'], [`${set}, ${set}`]],
    ['in each header', ['frame-ancestors a', 'frame-ancestors b'], [set, set]],
    ['in the second header', ['a b', 'frame-ancestors b'], ['a b', set]],
    [
      'in each policy of each header',
      ['frame-ancestors a, b c', 'd e; frame-ancestors f, frame-ancestors g'],
      [`${set}, b c`, `d e; ${set}, ${set}`],
    ],
    ['two headers without', ['a b', 'c d'], [`a b; ${set}`, 'c d']],
    ['two policies without', ['a b, c d'], [`a b; ${set}, c d`]],
    ['two policies without, and no space', ['a b,c d'], [`a b; ${set},c d`]],
    ['an empty policy before', [', a b'], [`, a b; ${set}`]],
    ['an empty header before', ['', 'a b'], ['', `a b; ${set}`]],
    ['another name that begins alike', ['frame-ancestors-x *'], [`frame-ancestors-x *; ${set}`]],
    ['another name that ends alike', ['x-frame-ancestors *'], [`x-frame-ancestors *; ${set}`]],
    ['the name as a value', ['x frame-ancestors *'], [`x frame-ancestors *; ${set}`]],
    ['frame-src', ['frame-src *; child-src *'], [`frame-src *; child-src *; ${set}`]],
    [
      'values of other directives',
      ["script-src 'nonce-a' 'sha256-b=' blob: *.x; report-uri /csp?a=b; sandbox allow-scripts"],
      [
        `script-src 'nonce-a' 'sha256-b=' blob: *.x; report-uri /csp?a=b; sandbox allow-scripts; ${set}`,
      ],
    ],
  ]
  for (const [name, values, expected] of rows) {
    const before = [...values]
    const merged = withFrameAncestors(values, ours)
    t.strictSame(
      merged.filter((value) => value !== ''),
      expected.filter((value) => value !== ''),
      name,
    )
    t.strictSame(values, before, `${name}: the values given are left as they were`)
  }
  t.strictSame(withFrameAncestors(['frame-ancestors *'], "'none'"), ["frame-ancestors 'none'"])
  t.strictSame(withFrameAncestors([], "'self'"), ["frame-ancestors 'self'"])
  t.end()
})

interface Directive {
  readonly name: string
  readonly value: string
}

/** What a browser makes of the header values (CSP3 §2.2.1 and §4.1), white space being ASCII's. */
function parse(values: readonly string[]): Directive[][] {
  return values
    .flatMap((value) => value.split(','))
    .map((policy) => {
      const directives: Directive[] = []
      for (const text of policy.split(';')) {
        const [, name = '', value = ''] =
          /^[\t\n\f\r ]*([^\t\n\f\r ]*)[\t\n\f\r ]*(.*?)[\t\n\f\r ]*$/s.exec(text) ?? []
        const lowered = name.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
        // The first of two counts.
        if (name === '' || directives.some((other) => other.name === lowered)) continue
        directives.push({ name: lowered, value })
      }
      return directives
    })
    .filter((directives) => directives.length > 0)
}

const without = (policies: readonly (readonly Directive[])[]): (readonly Directive[])[] =>
  policies
    .map((policy) => policy.filter(({ name }) => name !== 'frame-ancestors'))
    .filter((policy) => policy.length > 0)

t.test('to a browser ours is the only one in force, whatever the upstream sent', (t) => {
  const directives = [
    '',
    ' ',
    "default-src 'self'",
    ' script-src *',
    'frame-ancestors *',
    "frame-ancestors 'none'",
    ' Frame-Ancestors\t* ',
    'frame-ancestors',
    'frame-ancestors\u00a0*',
    '\u00a0frame-ancestors *',
    '\u00a0',
    'frame-ancestors-x *',
    'x\u00e4 frame-ancestors *',
    'FRAME-ANCESTORS https://evil.example',
  ]
  const headers = [
    [],
    ...directives.map((one) => [one]),
    ...directives.flatMap((one) =>
      directives.flatMap((two) => [[`${one};${two}`], [`${one},${two}`], [one, two]]),
    ),
    ...directives.map((one) => [`a b;${one}`, `${one};c d,${one}`, one]),
  ]
  const wrong: string[] = []
  for (const values of headers) {
    const merged = withFrameAncestors(values, ours)
    const policies = parse(merged)
    const inForce = policies.flatMap((policy) =>
      policy.filter(({ name }) => name === 'frame-ancestors').map(({ value }) => value),
    )
    const onlyOurs = inForce.length > 0 && inForce.every((value) => value === ours)
    const rest = JSON.stringify(without(policies)) === JSON.stringify(without(parse(values)))
    if (!onlyOurs || !rest) wrong.push(`${JSON.stringify(values)} became ${JSON.stringify(merged)}`)
  }
  t.strictSame(wrong, [])
  t.ok(headers.length > 600)
  t.end()
})

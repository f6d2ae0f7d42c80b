import { createHash } from 'node:crypto'
import t from 'tap'
import { presentHtml } from '../../src/load/html.ts'
import { style } from '../../src/load/html-style.ts'
import type { Results } from '../../src/load/results.ts'
import { judge } from '../../src/load/thresholds.ts'
import { attacksOf, resultsOf, saying } from './results.ts'

const present = (results: Results): string => presentHtml(results, judge(results, []))

t.test('no text of a run is markup', async (t) => {
  const rows: readonly (readonly [string, string])[] = [
    ['ends of elements', '</title></style></svg><script>alert(1)</script>'],
    ['the end of an attribute', '"><img src=x onerror=alert(1)>'],
    ['the end of an attribute in apostrophes', "' onload='alert(1)"],
    ['a comment', '<!--'],
    ['references', '&lt;b&gt;&#60;b&#62;'],
    ['CDATA', ']]><![CDATA['],
    ['what every object has', 'constructor'],
    ['the prototype', '__proto__'],
    ['controls', '\u0000\u001b\u202e\u2028'],
  ]
  const tags = (html: string): readonly string[] => html.match(/<[^>]*>/g) ?? []
  const calm = tags(present(saying('calm')))
  for (const [name, text] of rows) {
    const html = present(saying(text))
    t.strictSame(tags(html), calm, name)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: none may be in it
    t.notMatch(html, /[\u0000-\u0009\u000b-\u001f\u202e\u2028]/, name)
  }
  t.match(present(saying('toString')), '>toString</th><td class="number" data-label="Agents">0<')
  t.match(present(saying('&lt;')), '<th scope="row" class="" data-label="Cause">&amp;lt;</th>')
})

t.test('the policy lets in the one style sheet, and nothing else', async (t) => {
  const html = present(resultsOf())
  const [, policy] = /<meta http-equiv="Content-Security-Policy" content="(.*?)">/.exec(html) ?? []
  const [, sheet = ''] = /<style>(.*?)<\/style>/s.exec(html) ?? []
  const hash = createHash('sha256').update(sheet).digest('base64')
  t.equal(
    policy,
    `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`,
  )
  t.ok(html.indexOf('Content-Security-Policy') < html.indexOf('<style>'))
  t.notMatch(html, /\b(?:src|href|style|on\w+)=|url\(|@import|<script/)
})

t.test('its colours are the dashboard’s', async (t) => {
  const used = new Set(style.match(/(?<=var\()--[\w-]+/g))
  t.ok(used.size > 10)
  for (const name of used) t.equal(style.split(`${name}: #`).length, 3, `${name}, light and dark`)
})

t.test('what a picture shows, a table has, however long the run was', async (t) => {
  const rows: readonly (readonly [string, number, number, RegExp])[] = [
    ['a second', 1, 1, />of each second, logarithmic</],
    ['as many seconds as there is room for', 240, 240, />of each second, logarithmic</],
    ['more', 241, 121, />slowest of every 2 seconds, logarithmic</],
    ['many hours', 40_000, 240, />slowest of every 167 seconds, logarithmic</],
  ]
  for (const [name, seconds, spans, note] of rows) {
    const html = present(resultsOf({ seconds, slow: (at) => (at === 1 ? 50 : 1) }))
    const [, table = ''] = html.split('aria-label="Over time as a table"')
    t.equal(table.match(/<tr><th scope="row"/g)?.length, spans, name)
    const steps = [...table.matchAll(/data-label="Steps">([\d,]+)</g)].map(([, count = '']) =>
      Number(count.replaceAll(',', '')),
    )
    t.equal(
      steps.reduce((sum, count) => sum + count, 0),
      seconds * 200,
    )
    t.match(table, /data-label="max">2,200</, 'the slowest second is in it')
    t.match(html, note)
    for (const [, path] of html.matchAll(/<path class="[^"]*" d="([^"]*)"/g)) {
      if (path === undefined || /NaN|Infinity|undefined/.test(path)) t.fail(`path ${path}`)
    }
  }
})

t.test('each picture has its own name and description', async (t) => {
  const html = present(resultsOf())
  const ids = [...html.matchAll(/ id="(.*?)"/g)].map(([, id]) => id)
  t.equal(new Set(ids).size, ids.length)
  const named = [...html.matchAll(/role="img".*?aria-labelledby="(.*?)" aria-describedby="(.*?)"/g)]
  t.equal(named.length, 6)
  for (const one of named) t.ok(one.slice(1).every((id) => ids.includes(id)))
  t.match(html, '<desc id="latency-desc">p50 1.1 ms at first, 1.6 ms at most, 1.4 ms at last; p99')
  t.match(html, '<desc id="attacks-desc">token-expired 120; token-invalid 120;')
})

t.test('attacks that were let in stand out, by their reason', async (t) => {
  const attacks = [
    { name: 'one', reason: 'claim-mismatch', ...attacksOf(10, 9), undecided: 0, letIn: 1 },
    { name: 'other', reason: 'claim-mismatch', ...attacksOf(10, 4), undecided: 2, letIn: 4 },
  ]
  const html = present(resultsOf({ changes: { attacks } }))
  t.match(html, '>20, 2 rate-limited or undecided, 5 let in</text>')
  t.match(html, '<rect class="bar-bad" x="75%" width="25%"')
  t.match(
    html,
    /<section id="state" class="bad">\n<h2>Failed: 2 of 5 .*attacks let in, attacks undecided/,
  )
})

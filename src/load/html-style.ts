import { readFileSync } from 'node:fs'

const colours = readFileSync(new URL('../admin/dashboard/colours.css', import.meta.url), 'utf8')

/** The look of the report's page: the dashboard's colours and measures. */
export const style = `
${colours}* { box-sizing: border-box }
body {
  max-width: 90rem;
  margin: 0 auto;
  padding: 0 clamp(.75rem, 2vw, 1.5rem) 2rem;
  background: var(--ground);
  color: var(--text);
  font: .9375rem / 1.5 system-ui, sans-serif;
  overflow-wrap: break-word;
}
td, tbody th { overflow-wrap: anywhere }
h1, h2, p { margin: 0 }
h1, h2 { font-size: 1rem }
h1 span, h2 span { color: var(--quiet); font-weight: normal }
header { display: flex; flex-wrap: wrap; justify-content: space-between; gap: .25rem 1rem; padding: .75rem 0 }
header > * { min-width: 0; overflow-wrap: anywhere }
header p { color: var(--quiet) }
section { min-width: 0; padding: .75rem 1rem; border: 1px solid var(--line); border-radius: 8px; background: var(--surface) }
#state { margin-bottom: 1rem; border-left: 6px solid var(--bad) }
#state.good { border-left-color: var(--good) }
#state h2 { font-size: 1.375rem; line-height: 1.3 }
#state > p { margin-top: .5rem; font-variant-numeric: tabular-nums }
#state table { margin-top: .75rem; max-width: 48rem }
.doubtful b { color: var(--doubtful) }
.sections { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 1rem }
.whole { grid-column: 1 / -1 }
.legend { display: flex; flex-wrap: wrap; gap: 0 1.25rem; margin-top: .25rem; font-size: .875rem }
.swatch { margin-right: .375rem }
.plot { display: block; width: calc(100% - 6rem); height: 11rem; margin: .75rem 1.75rem 2rem 4.25rem }
.plot, .plot svg { overflow: visible }
.bars { display: block; width: 100%; margin: .25rem 0 .5rem }
.plot, .bars { font-size: .75rem; font-variant-numeric: tabular-nums }
svg text { fill: currentColor; color: var(--quiet) }
.bars text { font-size: .8125rem }
.bars .label { color: var(--text) }
.grid { stroke: var(--line); shape-rendering: crispEdges }
path { fill: none; vector-effect: non-scaling-stroke; stroke-linejoin: round; stroke-linecap: round }
.line-1, .line-2, .line-3 { stroke-width: 2 }
.line-1 { stroke: var(--line-1) }
.line-2 { stroke: var(--line-2); stroke-dasharray: 7 4; stroke-linecap: butt }
.line-3 { stroke: var(--line-3); stroke-dasharray: 2 3; stroke-linecap: butt }
.bar-1 { fill: var(--line-1); stroke: var(--line-1) }
.bar-2 { fill: var(--bar); stroke: var(--bar) }
.bar-bad { fill: var(--bad); stroke: var(--bad) }
.empty, .note { color: var(--quiet); font-size: .875rem }
.empty { padding: .75rem 0 }
.note { margin-top: .375rem }
details { margin-top: .5rem }
summary { width: fit-content; min-height: 1.5rem; color: var(--accent); font-size: .875rem; cursor: pointer }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
.scroller { max-height: 30rem; overflow: auto }
table { width: 100%; margin-top: .5rem; border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .75rem .25rem 0; border-top: 1px solid var(--line); text-align: start; vertical-align: top; font-weight: normal }
thead th { border-top: 0; color: var(--quiet) }
.number { text-align: end; white-space: nowrap }
.number:first-child { width: 6rem }
td.good { color: var(--good) }
td.bad { color: var(--bad); font-weight: 600 }
@media (max-width: 47.5rem) {
  .wide thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap }
  .wide, .wide tbody { display: block }
  .wide tr { display: flex; flex-wrap: wrap; gap: 0 1rem; padding: .375rem 0; border-top: 1px solid var(--line) }
  .wide tbody :is(th, td) { padding: 0; border: 0; text-align: start }
  .wide tbody th { flex-basis: 100%; font-weight: 600 }
  .wide :is(td, th.number)::before { content: attr(data-label) " "; color: var(--quiet); font-weight: normal }
}
@media print {
  body { background: none }
  section { break-inside: avoid }
  .scroller { max-height: none; overflow: visible }
  details::details-content { content-visibility: visible; block-size: auto }
  summary { display: none }
}
`

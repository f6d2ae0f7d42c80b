import { element, reconcile, write } from './elements.js'

/** 12:03:04 */
export const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' })

/** A section with a title that shows a picture or a table of the same. */
export function chartSection(title, note) {
  const picture = element('div', { class: 'picture' })
  const table = element('table')
  const scroller = element('div', { class: 'scroller', tabindex: '0', role: 'region' }, table)
  const toggle = element('button', { type: 'button', class: 'quiet' }, 'Show as table')
  toggle.setAttribute('aria-label', `${title}: show as table`)
  const heading = element('h2', {}, title)
  if (note !== undefined) heading.append(' ', element('span', {}, note))
  scroller.setAttribute('aria-label', `${title}, table`)
  scroller.hidden = true
  const node = element(
    'section',
    { class: 'chart' },
    element('div', { class: 'head' }, heading, toggle),
    picture,
    scroller,
  )
  const rows = { head: element('thead'), body: element('tbody') }
  let fill = () => {}
  table.append(rows.head, rows.body)
  toggle.addEventListener('click', () => {
    scroller.hidden = !scroller.hidden
    picture.hidden = !picture.hidden
    if (picture.hidden) fill()
    const other = picture.hidden ? 'chart' : 'table'
    write(toggle, `Show as ${other}`)
    toggle.setAttribute('aria-label', `${title}: show as ${other}`)
  })
  return {
    node,
    picture,
    /** Columns: `{ label, text(bucket) }`; newest first. */
    fillTable(columns, buckets) {
      fill = () => fillRows(rows, columns, buckets)
      if (!scroller.hidden) fill()
    },
  }
}

function fillRows({ head, body }, columns, buckets) {
  const header = columns.map(({ label }) => element('th', { scope: 'col' }, label))
  head.replaceChildren(element('tr', {}, element('th', { scope: 'col' }, 'Time'), ...header))
  reconcile(
    body,
    buckets.toReversed(),
    ({ time }) => `${time} ${columns.map(({ label }) => label)}`,
    ({ time }) => {
      const cells = columns.map(() => element('td'))
      const node = element('tr', {}, element('th', { scope: 'row' }, clock.format(time)), ...cells)
      return {
        node,
        update(bucket) {
          for (const [index, cell] of cells.entries()) write(cell, columns[index].text(bucket))
        },
      }
    },
  )
}

/** What all plots have in common. Colours are asked for at each drawing: the scheme may change. */
export function plotOptions({ height, axes, series, y, past = () => 0 }) {
  return {
    width: 300,
    height,
    ms: 1,
    legend: { show: false },
    padding: [8, axes[0].show === false ? 0 : 20, 0, 0],
    scales: {
      x: { time: true, range: (_, first, last) => [first, last + past()] },
      y: { range: (_, low, high) => y(low, high) },
    },
    axes,
    series: [{}, ...series],
    cursor: {
      y: false,
      drag: { x: false, y: false },
      points: { show: false },
      sync: { key: 'dashboard', scales: ['x', null] },
    },
  }
}

/** Keeps a plot as wide as its element. */
export function fit(plot, host) {
  new ResizeObserver(([{ contentRect }]) => {
    if (contentRect.width > 0) plot.setSize({ width: contentRect.width, height: plot.height })
  }).observe(host)
}

/** A colour of the style sheet's, as it is now. */
export function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim()
}

/** Words for a range of ms. */
export function lastRange(range) {
  return range === 3_600_000 ? 'the last hour' : `the last ${range / 60_000} minutes`
}

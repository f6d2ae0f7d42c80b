import { element, reconcile, write } from './elements.js'
import { chartSection, color, fit, lastRange, plotOptions } from './plot.js'
import { countReasons } from './series.js'
import UPlot from './uPlot.esm.js'
import { count } from './words.js'

/** More would be too many to compare; the rest are counted together. */
const shownReasons = 6

/** One row of bars a reason, on one scale: no colours to tell apart. */
export function reasonsChart(onReason) {
  const section = chartSection('Refusals by reason')
  const list = element('ul', { class: 'reasons' })
  const empty = element('p', { class: 'empty' }, 'Nothing was refused.')
  const rest = element('p', { class: 'rest' })
  section.picture.append(list, empty, rest)
  const plots = new Set()

  function createRow([reason]) {
    const total = element('b')
    const button = element('button', { type: 'button', class: 'link' }, reason)
    button.title = 'Show its latest refusals'
    button.addEventListener('click', () => onReason(reason))
    const host = element('div', { class: 'plot', role: 'img' })
    const node = element('li', {}, button, host, total)
    let highest = 1
    let width = 0
    const plot = new UPlot(
      plotOptions({
        height: 27,
        axes: [{ show: false }, { show: false }],
        series: [
          {
            stroke: () => color('--bar'),
            fill: () => color('--bar'),
            width: 0,
            paths: UPlot.paths.bars({ size: [0.8, 12, 1], align: 1 }),
            points: { show: false },
          },
        ],
        y: () => [0, highest],
        past: () => width,
      }),
      [[], []],
      host,
    )
    fit(plot, host)
    plots.add(plot)
    return {
      node,
      end() {
        plots.delete(plot)
        plot.destroy()
      },
      update([, sum, column, times, most, range]) {
        highest = most
        width = times[1] - times[0]
        write(total, count(sum))
        host.setAttribute(
          'aria-label',
          `${reason} over ${lastRange(range)}: ${count(column.at(-1))} now, ${count(Math.max(...column))} at most`,
        )
        plot.setData([times, column])
      },
    }
  }

  return {
    node: section.node,
    redraw() {
      for (const plot of plots) plot.redraw(false)
    },
    draw(buckets, range) {
      const all = countReasons(buckets)
      const top = all.slice(0, shownReasons).map(([reason, sum]) => ({
        reason,
        sum,
        column: buckets.map(({ reasons }) => reasons[reason] ?? 0),
      }))
      const most = Math.max(1, ...top.flatMap(({ column }) => column))
      const times = buckets.map(({ time }) => time)
      empty.hidden = all.length > 0
      write(empty, `Nothing was refused in ${lastRange(range)}.`)
      reconcile(
        list,
        top.map(({ reason, sum, column }) => [reason, sum, column, times, most, range]),
        ([reason]) => reason,
        createRow,
      )
      const others = all.slice(shownReasons)
      rest.hidden = others.length === 0
      write(rest, `and ${others.map(([reason, sum]) => `${reason} ${count(sum)}`).join(', ')}`)
      section.fillTable(
        all.map(([reason]) => ({
          label: reason,
          text: ({ reasons }) => count(reasons[reason] ?? 0),
        })),
        buckets,
      )
    },
  }
}

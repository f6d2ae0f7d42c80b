import { plain } from '../report/present.ts'
import { type Paint, printableJson, wrap } from '../report/words.ts'
import type { Explanation, Step } from './explain.ts'

const styles = {
  passed: 'green',
  failed: 'red',
  reported: 'yellow',
  'not reached': 'dim',
} as const
const indent = ' '.repeat(15)

/** The explanation for people. */
export function present(explanation: Explanation, paint: Paint): string {
  const { verdict, reason, status, contactCenter, elsewhere, steps, happened, remedy } = explanation
  const isGood = verdict === 'let in' && !elsewhere
  const style = verdict === 'refused' ? 'red' : isGood ? 'green' : 'yellow'
  const why = [verdict, reason, status].filter((part) => part !== null).join(' · ')
  const who = contactCenter === null ? '' : `, contact center ${contactCenter}`
  const but = elsewhere ? ', but is not of PUBLIC_URL: its session would be of no use' : ''
  return [
    wrap(`${paint(style, `This link would be ${why}`)}${but}${who}`, ''),
    '\n',
    ...steps.map((step) => paragraph(step, paint)),
    ...(reason === null
      ? []
      : [`\n${wrap(plain(happened), '')}`, wrap(`To do: ${plain(remedy)}`, '')]),
    ...list('What follows', explanation.next, paint),
    ...list('Not known here', explanation.unknown, paint),
  ].join('')
}

/** The explanation for programs. */
export function json(explanation: Explanation): string {
  const { happened, remedy } = explanation
  const said = { ...explanation, happened: plain(happened), remedy: plain(remedy) }
  return printableJson(said)
}

function paragraph({ name, outcome, facts, hints }: Step, paint: Paint): string {
  const first = `  ${paint(styles[outcome], outcome.padEnd(11))}  ${paint('bold', name)}\n`
  return [
    first,
    ...facts.map((fact) => paint('dim', wrap(fact, indent))),
    ...hints.map((hint) => wrap(hint, `${indent}→ `, `${indent}  `)),
  ].join('')
}

function list(title: string, sentences: readonly string[], paint: Paint): string[] {
  if (sentences.length === 0) return []
  return [`\n${paint('bold', title)}\n`, ...sentences.map((one) => wrap(one, '  - ', '    '))]
}

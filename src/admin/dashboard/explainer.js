import { byId, element, prose, write } from './elements.js'
import { withToken } from './stream.js'

const levels = {
  passed: 'good',
  failed: 'bad',
  reported: 'doubtful',
  'not reached': '',
  'let in': 'good',
  refused: 'bad',
  'let in and reported': 'doubtful',
}

/** Has a link explained. `unauthorized` is called where the token is refused. */
export function createExplainer(token, unauthorized) {
  const link = byId('explain-link')
  const page = byId('explain-page')
  const error = byId('explain-error')
  const result = byId('explain-result')
  const verdict = byId('explain-verdict')
  let asked = 0

  async function explain() {
    asked += 1
    const mine = asked
    const answer = await ask()
    // A later question was asked since.
    if (mine !== asked) return
    const problem = typeof answer === 'string' ? answer : ''
    write(error, problem)
    result.hidden = problem !== ''
    if (problem === '') draw(answer)
  }

  async function ask() {
    try {
      const response = await fetch('/explain', {
        method: 'POST',
        headers: { ...withToken(token), 'content-type': 'application/json' },
        body: JSON.stringify({ link: link.value, page: page.value }),
        cache: 'no-store',
      })
      if (response.status === 401) unauthorized()
      if (response.status === 413) return 'The link is too long.'
      const answer = await response.json()
      if (response.ok) return answer
      const what = answer.field === 'page' ? 'The page' : 'The link'
      return answer.field
        ? `${what} ${answer.detail}.`
        : `Not explained: status ${response.status}.`
    } catch {
      return 'Not explained: no connection.'
    }
  }

  function draw(explanation) {
    const { reason, status, contactCenter, steps, happened, remedy, next, unknown } = explanation
    const why = [reason, status].filter((part) => part !== null).join(', ')
    const who = contactCenter === null ? '' : ` Contact center: ${contactCenter}.`
    verdict.className = levels[explanation.verdict]
    write(
      verdict,
      `This link would be ${explanation.verdict}${why === '' ? '' : ` (${why})`}.${who}`,
    )
    byId('explain-steps').replaceChildren(...steps.map(step))
    const advice =
      reason === null
        ? []
        : [
            element('p', {}, ...prose(happened)),
            element('p', {}, element('b', {}, 'What to do: '), ...prose(remedy)),
          ]
    byId('explain-advice').replaceChildren(...advice)
    const all = [...next, ...unknown.map((one) => `Not known here: ${one}`)]
    byId('explain-next').replaceChildren(...all.map((one) => element('li', {}, one)))
  }

  byId('explain-form').addEventListener('submit', (event) => {
    event.preventDefault()
    void explain()
  })
}

function step({ name, outcome, facts, hints }) {
  return element(
    'li',
    {},
    element('b', {}, name),
    ' ',
    element('span', { class: levels[outcome] }, outcome),
    ...facts.map((fact) => element('p', {}, fact)),
    ...hints.map((hint) => element('p', { class: 'hint' }, hint)),
  )
}

import { denials } from '../access/decision.ts'
import { type Check, fail, type Outcome, pass, skip } from './check.ts'
import { configRequest, sessionCookie } from './cookies.ts'
import { broken } from './credentials.ts'
import type { Answer } from './probe.ts'
import { isRefusal } from './refusals.ts'

/** What an answer would say if it said why: the reasons, a library's words, a stack, an address. */
const reasons = new RegExp(
  [
    ...Object.keys(denials),
    '[Jj][Ww][Tt]|[Ss]ignature|[Ee]xpired|error_description|node_modules|FST_|ERR_|ECONN',
    String.raw`\bat \S+:\d+:\d+|\b(?:10\.\d+|127\.\d+|192\.168)\.\d+\.\d+`,
  ].join('|'),
)

/** Refusals tell nothing, and answers hand out nothing that opens more. */
export const leaks: readonly Check[] = [
  {
    id: 'config-js',
    promise: 'config.js gives browsers neither the backend’s API token nor its address.',
    remedy:
      'Set COPILOT_API_URL to the address that config.js names, and COPILOT_API_TOKEN to the token in it.',
    needs: 'session',
    async run({ probe, place }, cookie) {
      const request = configRequest(place.url, cookie, 'same-origin')
      const answer = await probe.ask({ ...request, welcome: true })
      if (isRefusal(answer)) return fail(answer.kind)
      return judgeConfig(answer, place.url)
    },
  },
  {
    id: 'silent-refusals',
    promise: 'No refusal says why it refuses, or what it runs on.',
    remedy: 'Take error pages of your own, and what they show, out of what is in front.',
    needs: 'answers',
    run({ probe }) {
      const told = refusalsIn(probe.answers).flatMap((answer) => {
        const word = reasons.exec(wordsOf(answer))?.[0]
        return word === undefined ? [] : [`${word} (${answer.kind})`]
      })
      return told.length === 0 ? pass('nothing') : fail([...new Set(told)].join(', '))
    },
  },
  {
    id: 'equal-refusals',
    promise: 'Refusals of one status are the same but for their request id.',
    remedy: 'Look what answers in place of the gateway for some of them.',
    needs: 'answers',
    run({ probe }) {
      const first = new Map<string, string>()
      const different = new Set<string>()
      for (const answer of refusalsIn(probe.answers)) {
        const { status, headers, body } = answer
        const type = headers['content-type']
        const kind = `${status} as ${type}`
        const challenge = headers['www-authenticate']
        const id = String(headers['x-request-id'])
        const text = JSON.stringify([challenge, headers['cache-control'], body.replaceAll(id, '')])
        if ((first.get(kind) ?? text) !== text) different.add(kind)
        first.set(kind, text)
      }
      return different.size === 0 ? pass('equal') : fail([...different].join(', '))
    },
  },
  {
    id: 'credentials-repeated',
    promise: 'No answer repeats the token or cookie that it was asked with.',
    remedy: 'Look what writes the URL into pages or headers (redirects, error pages).',
    needs: 'answers',
    run({ probe, link }) {
      const cookie = sessionCookie(probe.answers)?.split('=').slice(1).join('=')
      const credentials = [broken, link?.auth, cookie].filter((one) => one !== undefined)
      const telling = probe.answers.filter((answer) => {
        const text = wordsOf(answer)
        return credentials.some((credential) => text.includes(credential))
      })
      const kinds = new Set(telling.map(({ kind }) => kind))
      return kinds.size === 0 ? pass('none') : fail([...kinds].join(', '))
    },
  },
]

function judgeConfig({ status, headers, body }: Answer, { origin }: URL): Outcome {
  const token = textOf('accessTokenSecret', body)
  const address = textOf('agentAssistAPIUrl', body)
  if (status !== 200 || headers['content-encoding'] !== undefined || !(token ?? address)) {
    return skip(`${status}, without a server configuration that can be read`)
  }
  const elsewhere = address ? (URL.parse(address, origin)?.origin ?? 'no URL') : origin
  const told = [
    ...(token && token !== 'copilot-gateway' ? ['the API token is in it'] : []),
    ...(elsewhere === origin ? [] : [`the backend is at ${elsewhere}`]),
  ]
  return told.length === 0 ? pass('neither') : fail(told.join('; '))
}

/** The text that a script gives a name. */
function textOf(name: string, script: string): string | undefined {
  const found = new RegExp(`${name}["']?\\s*[:=]\\s*(["'\`])(.*?)\\1`).exec(script)?.[2]
  return found?.replaceAll('\\', '')
}

function refusalsIn(answers: readonly Answer[]): Answer[] {
  return answers.filter(({ welcome, stopped, status }) => !welcome && !stopped && status >= 400)
}

/** All that an answer says, but for what is random or a hash, and the cookie that it is meant to set. */
function wordsOf({ headers, body }: Answer): string {
  const {
    'content-security-policy': _,
    'set-cookie': _cookies,
    'x-request-id': _id,
    ...rest
  } = headers
  return `${body}\n${Object.entries(rest).flat(2).join('\n')}`
}

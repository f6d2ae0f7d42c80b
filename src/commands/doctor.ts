import { lookup } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { parseArgs, styleText } from 'node:util'
import { type Link, makeLink, readLink } from '../doctor/credentials.ts'
import { examine, type Result } from '../doctor/examine.ts'
import { closing, heading, json, line, type Paint } from '../doctor/report.ts'
import { baseUrl, errorCode } from '../settings/parsers.ts'
import type { Problems } from '../settings/reader.ts'
import { settings } from '../settings/table.ts'
import { readSome, surroundings, wrongSettings } from './environment.ts'
import { wrongUsage } from './usage.ts'

/** Ms that a request may take. */
const deadline = 10_000
/** Long enough that a session cut short is the gateway's doing, in ms. */
const linkLasts = 3_600_000

/** Examines a running gateway from outside. Exit code 1 where a check fails. */
export async function doctor(args: readonly string[]): Promise<0 | 1 | 2> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
  const [base, ...others] = positionals
  if (base === undefined || others.length > 0) return wrongUsage('doctor needs one base URL')
  const parsed = baseUrl(base, surroundings())
  if ('problems' in parsed) return wrongUsage(`The base URL ${parsed.problems.join(', ')}`)
  const url = parsed.value

  const { user, session, 'url-token': urlToken, 'link-file': file, json: asJson } = values
  const ids = [user, session, urlToken].filter((id) => id !== undefined)
  if (ids.length > 0 && (ids.length < 3 || ids.includes('') || file !== undefined)) {
    return wrongUsage(
      'doctor needs all of --user, --session and --url-token, none empty, or --link-file',
    )
  }
  const links = ids.length > 0 ? makeLinks(url, ids) : await givenLink(url, file)
  if ('problems' in links) return wrongSettings(links)
  if ('problem' in links) return wrongUsage(links.problem)

  const resolve = (host: string) => lookup(host, { all: true })
  const patient = { url, ...links, resolve, deadline, now: Date.now() }
  const results: Result[] = []
  if (!asJson) print(`${url.href} ${links.link ? 'with' : 'without'} a link\n`)
  for await (const result of examine(patient)) {
    if (!asJson && result.group !== results.at(-1)?.group) print(heading(result.group, paint))
    if (!asJson) print(line(result, paint))
    results.push(result)
  }
  print(asJson ? json(url, results) : closing(results))
  return results.some(({ verdict }) => verdict === 'fail') ? 1 : 0
}

const options = {
  'link-file': { type: 'string' },
  user: { type: 'string' },
  session: { type: 'string' },
  'url-token': { type: 'string' },
  json: { type: 'boolean', default: false },
} as const

interface Links {
  readonly link: Link | null
  readonly expired: Link | null
}

/** A link made with the newest secret of the settings, and one that has ended. */
function makeLinks(
  base: URL,
  [userId = '', sessionId = '', urlToken = '']: readonly string[],
): Links | Problems {
  const around = surroundings()
  const some = readSome(null, around)
  if ('problems' in some) return some
  const secret = some.reader.read(settings.jwtSecret)?.[0]
  if (secret === undefined) return some.reader
  const made = { baseUrl: base, userId, sessionId, urlToken, secret, expiresIn: linkLasts }
  return {
    link: makeLink({ ...made, now: around.now }),
    expired: makeLink({ ...made, now: around.now - 3 * linkLasts }),
  }
}

/** The link of a file, of stdin (`-`), or of DOCTOR_LINK: what stands in arguments, all users can list. */
async function givenLink(
  base: URL,
  file: string | undefined,
): Promise<Links | Problems | { readonly problem: string }> {
  let written = process.env['DOCTOR_LINK']
  const source = file === undefined ? 'DOCTOR_LINK' : '--link-file'
  try {
    if (file === '-') written = await text(process.stdin)
    else if (file !== undefined) written = readFileSync(file, 'utf8')
  } catch (error) {
    const message = `must name a file that can be read (${errorCode(error)})`
    return { problems: [{ setting: source, message }] }
  }
  if (written === undefined) return { link: null, expired: null }
  const link = readLink(written, base)
  return 'problem' in link ? { problem: `${source} ${link.problem}` } : { link, expired: null }
}

const paint: Paint = (style, text) => styleText(style, text, { stream: process.stdout })

function print(text: string): void {
  process.stdout.write(text)
}

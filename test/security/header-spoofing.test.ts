import t from 'tap'
import { ask, link, startGateway, startUpstream, valuesOf } from '../stage.ts'

const upstream = await startUpstream(t)
const gateway = await startGateway(t, upstream.origin)
const { host } = new URL(gateway.origin)
type Lines = Readonly<Record<string, string | readonly string[]>>

/** The header lines, names and values in turn, that went upstream. */
async function sent(headers: Lines, target = link(), method = 'GET'): Promise<readonly string[]> {
  upstream.seen.length = 0
  const { status } = await ask(gateway.origin, target, { method, headers })
  if (status !== 200 || upstream.seen.length !== 1) throw new Error(`${status}, not forwarded`)
  return upstream.seen[0]?.rawHeaders ?? []
}

function namesIn(raw: readonly string[]): string[] {
  return raw.filter((_, i) => i % 2 === 0)
}

const spellings = (name: string): string[] => [
  ...new Set([
    name,
    name.toLowerCase(),
    name.toUpperCase(),
    name.replaceAll('-', '_'),
    name.replaceAll('-', '_').toUpperCase(),
    name.replace('-', '_'),
    name.replace(/-(?=[^-]*$)/, '_'),
  ]),
]

t.test('what is never forwarded is not, however it is spelled', async (t) => {
  const names = [
    'X-Real-IP',
    'X-Original-URL',
    'X-Rewrite-URL',
    'X-HTTP-Method',
    'X-HTTP-Method-Override',
    'X-Copilot-User-Id',
    'X-Copilot-Session-Id',
    'X-Copilot-Contact-Center',
    'X-Copilot-Anything-Else',
    'Keep-Alive',
    'Proxy-Authenticate',
    'Proxy-Authorization',
    'Proxy-Connection',
    'TE',
    'HTTP2-Settings',
  ]
  for (const name of names.flatMap(spellings)) {
    const raw = await sent({ [name]: 'canary' })
    t.notMatch(JSON.stringify(raw), 'canary', name)
  }
  const all = Object.fromEntries(
    names.flatMap(spellings).map((name) => [name, ['canary', 'canary']]),
  )
  t.notMatch(JSON.stringify(await sent(all)), 'canary', 'all at once, twice each')
})

t.test("what the gateway says itself, the client doesn't", async (t) => {
  const names = [
    'X-Forwarded-For',
    'X-Forwarded-Host',
    'X-Forwarded-Proto',
    'Forwarded',
    'X-Request-Id',
  ]
  const forged = [
    'canary',
    '192.0.2.66',
    'for=192.0.2.66;host=canary;proto=https',
    'for=canary, for=canary',
    '',
  ]
  const requests = names
    .flatMap(spellings)
    .flatMap((name) => forged.map((value) => ({ [name]: [value, value] })))
  for (const headers of [{}, ...requests]) {
    upstream.seen.length = 0
    const answer = await ask(gateway.origin, link(), { headers })
    const raw = upstream.seen[0]?.rawHeaders
    const label = JSON.stringify(headers)
    t.notMatch(JSON.stringify(raw), /canary|192\.0\.2\.66/, label)
    t.strictSame(valuesOf(raw, 'x-forwarded-for'), ['127.0.0.1'], label)
    t.strictSame(valuesOf(raw, 'x-forwarded-host'), [host], label)
    t.strictSame(valuesOf(raw, 'x-forwarded-proto'), ['http'], label)
    t.strictSame(valuesOf(raw, 'x-request-id'), [answer.headers['x-request-id']], label)
    const element = `for=127.0.0.1;host="${host}";proto=http`
    t.strictSame(valuesOf(raw, 'forwarded'), [element], label)
    const similar = namesIn(raw ?? []).filter((name) =>
      /^(?:x[-_])?(?:forwarded|request)[-_]?/i.test(name),
    )
    t.equal(similar.length, 5, `${label}: no look-alike beside them`)
  }
})

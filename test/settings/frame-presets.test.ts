import { readFileSync } from 'node:fs'
import t from 'tap'
import {
  type FramePreset,
  framePresets,
  readFrameAncestors,
} from '../../src/settings/frame-presets.ts'
import { configOf, findingsOf, secrets } from './tell.ts'

const nice = [
  'https://cxagent.nicecxone.com',
  'https://max.niceincontact.com',
  'https://max.nice-incontact.com',
]
const zendesk = ['https://northline.zendesk.com', 'https://*.zdusercontent.com']

t.test('a preset stands for the pages of its contact center', (t) => {
  const rows: readonly (readonly [string, string, readonly string[]])[] = [
    ['a region', 'genesys:mypurecloud.de', ['https://apps.mypurecloud.de']],
    ['a newer region', 'genesys:usw2.pure.cloud', ['https://apps.usw2.pure.cloud']],
    [
      'the one for governments',
      'genesys:use2.us-gov-pure.cloud',
      ['https://apps.use2.us-gov-pure.cloud'],
    ],
    ['no argument', 'nice', nice],
    ['an alias', 'amazon-connect:north-line', ['https://north-line.my.connect.aws']],
    [
      'a My Domain name',
      'salesforce:northline',
      ['https://northline.lightning.force.com', 'https://northline--c.vf.force.com'],
    ],
    ['no argument, a hyphen', 'twilio-flex', ['https://flex.twilio.com']],
    ['a subdomain', 'zendesk:northline', zendesk],
    ['in any case', 'Zendesk:NorthLine', zendesk],
    ['one twice', 'twilio-flex https://flex.twilio.com', ['https://flex.twilio.com']],
    [
      'several, among sources',
      "'self',genesys:mypurecloud.ie https://cc.example:8443\n nice",
      ["'self'", 'https://apps.mypurecloud.ie', 'https://cc.example:8443', ...nice],
    ],
  ]
  for (const [name, text, sources] of rows) {
    t.strictSame(readFrameAncestors(text), { sources }, name)
    t.strictSame(
      configOf({ env: { FRAME_ANCESTORS: text, JWT_SECRET: `hex:${secrets[0]}` } })
        .contactCenters[0]?.frameAncestors,
      sources,
    )
  }
  const yaml = `
contactCenters:
  - name: north
    secrets: [{file: a}]
    frameAncestors: [zendesk:northline, "'self'"]
`
  t.strictSame(configOf({ yaml }).contactCenters[0]?.frameAncestors, [...zendesk, "'self'"])
  t.end()
})

t.test('a host is none, whatever its port', (t) => {
  for (const [text, source] of [
    ['localhost:3000', 'http://localhost:3000'],
    ['cc:8443', 'https://cc:8443'],
    ['genesis:443', 'https://genesis:443'],
    ['constructor:8443', 'https://constructor:8443'],
    ['intranet:*', 'https://intranet:*'],
    ['https://genesys:8080', 'https://genesys:8080'],
    ['https://nice', 'https://nice'],
    ['zendesk.example:443', 'https://zendesk.example:443'],
  ] as const) {
    t.strictSame(readFrameAncestors(text), { sources: [source] }, text)
  }
  t.end()
})

t.test('an argument widens nothing, and what is wrong is said', (t) => {
  const names = 'amazon-connect, salesforce, twilio-flex, zendesk'
  const regions = 'must name the domain of its region: one of mypurecloud.com, mypurecloud.com.au, '
  const word = (is: string, right: string): string =>
    `must name ${is}: letters, digits and hyphens, such as ${right}`
  const subdomain = word('its subdomain', 'zendesk:northline')
  const port = (host: string, right: string): string =>
    `may be a host and its port: write https://${host}, or ${right}`
  const rows: readonly (readonly [string, string])[] = [
    ['genesys:example.com', regions],
    ['genesys:de', regions],
    ['genesys:apps.mypurecloud.de', regions],
    ['genesys:https://apps.mypurecloud.de', regions],
    ['genesys:evil.mypurecloud.de', regions],
    ['genesys:mypurecloud.de.', 'must name the domain of its region: did you mean mypurecloud.de?'],
    ['genesys:mypurcloud.jp', 'must name the domain of its region: did you mean mypurecloud.jp?'],
    ['genesys', 'needs the domain of its region after a colon, such as genesys:mypurecloud.de'],
    ['genesys:', 'needs the domain of its region after a colon, such as genesys:mypurecloud.de'],
    ['genesys:8080', port('genesys:8080', 'genesys:mypurecloud.de')],
    ['zendesk:*', port('zendesk:*', 'zendesk:northline')],
    ['nice:443', port('nice:443', 'nice')],
    ['nice:cxone', 'takes nothing after its name: write nice'],
    ['twilio-flex:', 'takes nothing after its name: write twilio-flex'],
    ...[
      'a.b',
      'a.',
      '.a',
      '*.a',
      'a*',
      '-a',
      'a-',
      'a/b',
      'a/',
      'a#',
      'a?',
      'a:1',
      'a@b',
      'a%2e',
      'a_b',
      'bücher',
      "a'",
      'a\\',
      'a\u0000',
      'a\u3002b',
      'a'.repeat(61),
    ].map((argument) => [`zendesk:${argument}`, subdomain] as const),
    ['amazon-connect:evil.example/', word('the alias of its instance', 'amazon-connect:northline')],
    ['salesforce:northline--uat', word('its My Domain name', 'salesforce:northline')],
    ['genesis:mypurecloud.de', 'is neither a host nor a preset: did you mean genesys?'],
    ['twilioflex:x', 'is neither a host nor a preset: did you mean twilio-flex?'],
    ['five9:northline', `is neither a host nor a preset: there are genesys, nice, ${names}`],
    ['constructor:x', `is neither a host nor a preset: there are genesys, nice, ${names}`],
  ]
  for (const [text, why] of rows) {
    const problem = JSON.stringify(findingsOf({ env: { FRAME_ANCESTORS: text } }))
    const said = `FRAME_ANCESTORS ${JSON.stringify(text)} ${why}`
    t.ok(problem.includes(JSON.stringify(said).slice(1, -1)), `${text}: ${problem}`)
  }
  for (const [text, problem] of [
    ["nice 'none'", `"'none'" must stand alone`],
    [
      'five:x * nice:',
      `"five:x" is neither a host nor a preset: there are genesys, nice, ${names}; "nice:" takes nothing after its name: write nice; "*" would let any site frame: name a host`,
    ],
    ['https:', '"https:" would let any site frame: name a host'],
  ] as const) {
    t.strictSame(readFrameAncestors(text), { problem }, text)
  }
  t.end()
})

t.test('the page about contact centers has each preset as the code has it', (t) => {
  const page = readFileSync(new URL('../../docs/contact-centers.md', import.meta.url), 'utf8')
  const rows = Object.entries<FramePreset>(framePresets).map(
    ([name, { product, argument, sources, documented }]) => {
      const stands = sources('…').map((source) => `\`${source}\``)
      const written = argument === null ? `\`${name}\`` : `\`${name}:${argument.example}\``
      return `| ${product} | ${written} | ${argument?.is ?? 'none'} | ${stands.join(' ')} | [source](${documented}) |`
    },
  )
  t.strictSame(
    page.split('\n').filter((line) => line.includes('[source]')),
    rows,
  )
  for (const domain of framePresets.genesys.argument.known) t.match(page, `\`${domain}\``)
  for (const { product } of Object.values<FramePreset>(framePresets))
    t.match(page, `\n## ${product}\n`)
  t.end()
})

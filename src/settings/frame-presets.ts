import { parseFrameAncestors } from '../forward/frame-ancestors.ts'
import { nearest } from './nearest.ts'

/** A contact center whose desktop's hosts are known, so that FRAME_ANCESTORS can go by its name. */
export interface FramePreset {
  readonly product: string
  /** What stands after the name and a colon; null: nothing does, not even the colon. */
  readonly argument: Argument | null
  /** CSP host sources of every page between the agent's tab and the workspace. */
  readonly sources: (argument: string) => readonly string[]
  /** Where the vendor says so. */
  readonly documented: string
}

interface Argument {
  readonly is: string
  readonly example: string
  /** Whether the argument, in lower case, is one. */
  readonly accepts: (argument: string) => boolean
  /** All there are, where they are known. */
  readonly known: readonly string[]
}

/** The domains of Genesys Cloud's regions. */
const regions = [
  ...['com', 'com.au', 'de', 'ie', 'jp'].map((suffix) => `mypurecloud.${suffix}`),
  ...'usw2 cac1 euw2 euc2 apne2 apne3 aps1 apse1 sae1 mec1 mxc1'
    .split(' ')
    .map((region) => `${region}.pure.cloud`),
  'use2.us-gov-pure.cloud',
]

/** Every preset there is; docs/contact-centers.md says how each frames. */
export const framePresets = {
  genesys: {
    product: 'Genesys Cloud',
    argument: {
      is: 'the domain of its region',
      example: 'mypurecloud.de',
      accepts: (domain) => regions.includes(domain),
      known: regions,
    },
    sources: (domain) => [`https://apps.${domain}`],
    documented: 'https://developer.genesys.cloud/platform/integrations/client-apps',
  },
  nice: {
    product: 'NiCE CXone',
    argument: null,
    sources: () => [
      'https://cxagent.nicecxone.com',
      'https://max.niceincontact.com',
      'https://max.nice-incontact.com',
    ],
    documented: 'https://github.com/nice-devone/nice-cxone-agent-sdk',
  },
  'amazon-connect': {
    product: 'Amazon Connect',
    argument: label('the alias of its instance', 'northline'),
    sources: (alias) => [`https://${alias}.my.connect.aws`],
    documented: 'https://docs.aws.amazon.com/connect/latest/adminguide/case-agent-experience.html',
  },
  salesforce: {
    product: 'Salesforce',
    // Two hyphens part a sandbox's name from it, and sandboxes have other hosts.
    argument: label('its My Domain name', 'northline', /^[a-z\d]+(?:-[a-z\d]+)*$/),
    // Visualforce pages of one's own are in the package c.
    sources: (domain) => [
      `https://${domain}.lightning.force.com`,
      `https://${domain}--c.vf.force.com`,
    ],
    documented:
      'https://developer.salesforce.com/docs/atlas.en-us.apexref.meta/apexref/apex_class_System_DomainCreator.htm',
  },
  'twilio-flex': {
    product: 'Twilio Flex',
    argument: null,
    sources: () => ['https://flex.twilio.com'],
    documented: 'https://www.twilio.com/docs/flex/admin-guide/setup/secure-iframe',
  },
  zendesk: {
    product: 'Zendesk',
    argument: label('its subdomain', 'northline'),
    sources: (subdomain) => [
      `https://${subdomain}.zendesk.com`,
      // Where Zendesk keeps the pages of apps, each below a host of its own.
      'https://*.zdusercontent.com',
    ],
    documented:
      'https://developer.zendesk.com/documentation/apps/app-developer-guide/getting_started/',
  },
} as const satisfies Readonly<Record<string, FramePreset>>

const presets: Readonly<Record<string, FramePreset>> = framePresets
const names = Object.keys(presets)

/**
 * Reads frame ancestors (`parseFrameAncestors`) among which presets stand as `name:argument`, or as `name`
 * where nothing varies. A host and its port is never a preset. The problem names all that is refused.
 */
export function readFrameAncestors(text: string): ReturnType<typeof parseFrameAncestors> {
  const sources: string[] = []
  const problems = new Set<string>()
  for (const word of text.split(/[\s,]+/).filter((word) => word !== '')) {
    const expanded = expand(word)
    if ('sources' in expanded) sources.push(...expanded.sources)
    else problems.add(`${JSON.stringify(word.replaceAll('"', ''))} ${expanded.problem}`)
  }
  const parsed = parseFrameAncestors(sources.join(' '))
  if (problems.size === 0) return parsed
  if (sources.length > 0 && 'problem' in parsed) problems.add(parsed.problem)
  return { problem: [...problems].join('; ') }
}

/** What a word stands for: itself, where it is no preset. */
function expand(
  word: string,
): { readonly sources: readonly string[] } | { readonly problem: string } {
  const [, name = '', argument] =
    /^([a-z][a-z\d-]*)(?::(?!\/\/)(.*))?$/.exec(word.toLowerCase()) ?? []
  const preset = Object.hasOwn(presets, name) ? presets[name] : undefined
  const isPort = argument !== undefined && /^(?:\d{1,5}|\*)$/.test(argument)
  if (preset === undefined) {
    if (!argument || isPort || /^https?$/.test(name)) return { sources: [word] }
    const meant = nearest(name, names)
    const instead = meant === null ? `there are ${names.join(', ')}` : `did you mean ${meant}?`
    return { problem: `is neither a host nor a preset: ${instead}` }
  }
  const right = preset.argument === null ? name : `${name}:${preset.argument.example}`
  if (isPort)
    return { problem: `may be a host and its port: write https://${name}:${argument}, or ${right}` }
  if (preset.argument === null) {
    return argument === undefined
      ? { sources: preset.sources('') }
      : { problem: `takes nothing after its name: write ${right}` }
  }
  const { is, accepts, known } = preset.argument
  if (argument !== undefined && accepts(argument)) return { sources: preset.sources(argument) }
  if (!argument) return { problem: `needs ${is} after a colon, such as ${right}` }
  const meant = nearest(argument, known)
  if (meant !== null) return { problem: `must name ${is}: did you mean ${meant}?` }
  const form =
    known.length > 0
      ? `one of ${known.join(', ')}`
      : `letters, digits and hyphens, such as ${right}`
  return { problem: `must name ${is}: ${form}` }
}

/** An argument that becomes the first label of a host. */
function label(
  is: string,
  example: string,
  pattern = /^[a-z\d](?:[a-z\d-]{0,58}[a-z\d])?$/,
): Argument {
  return { is, example, accepts: (argument) => pattern.test(argument), known: [] }
}

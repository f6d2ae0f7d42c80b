import { formatUui } from '../../packages/copilot-link/src/uui.ts'

/** How long a link opens the workspace unless said, as `link` makes it: an agent's day. */
export const linkLasts = '8h'
/** How long a short link waits for the agent who takes the call. */
export const shortLasts = '1h'
/** How long a conversation's link can be looked up. */
export const conversationLasts = '12h'
/** Copilot's sessions live no longer. */
export const longest = 7 * 86_400_000

/** Characters of an id, however it is named. */
export const longestId = 512

const duration = (meaning: string, standard: string) =>
  ({
    type: 'string',
    pattern: '^\\d+(\\.\\d+)?(ms|s|m|h|d)$',
    maxLength: 20,
    default: standard,
    description: `${meaning}: a number and ms, s, m, h or d, of 1s to 7d.`,
  }) as const

const text = (description: string, maxLength: number) =>
  ({ type: 'string', minLength: 1, maxLength, description }) as const

const ids = {
  userId: text('The agent.', longestId),
  sessionId: text('The chat or call.', longestId),
  urlToken: text('The URLToken of the Cognigy.AI Endpoint.', longestId),
}

const lasts = {
  expiresIn: duration('How long the link opens the workspace, from when it is signed', linkLasts),
}

const url = text(
  'The plain Copilot link of a native integration, without auth. Its ids are taken, nothing else of it.',
  8192,
)
const uui = text(
  'The value of a User-to-User header, or the headers of a SIPREC message, with the plain link or ids in it.',
  8192,
)
const ofUui = text('Where the value names none, as in SIPREC; else the same.', longestId)

const short = {
  type: ['boolean', 'object'],
  description:
    'A short link as well, of /o/ and 22 characters: true for one that opens once. The link behind it is signed when it is opened.',
  properties: {
    uses: {
      type: 'integer',
      minimum: 1,
      maximum: 100,
      default: 1,
      description: 'How often it may be opened.',
    },
    expiresIn: duration('How long it may be opened', shortLasts),
  },
  additionalProperties: false,
} as const

const keepFor = duration('How long it can be looked up', conversationLasts)

const plain =
  'https://copilot.example/?userId=agent-7&sessionId=session-1&URLToken=f38791ae0c6b43d2'

const named = { userId: 'agent-7', sessionId: 'session-1', urlToken: 'f38791ae0c6b43d2' }
// The gateway's address, where that of the workspace was.
const exampleLink = `${plain.replace('copilot', 'agents')}&auth=…`
const exampleShort = 'https://links.example/o/Zk3vT9w0QmC5rXyB1uHd2A'

/** One of three ways to name what a link opens; index 0 to 2, as `alternativeOf` tells. */
function body(more: Readonly<Record<string, unknown>>) {
  const one = (
    title: string,
    properties: object,
    required: readonly string[],
    example: object,
  ) => ({
    title,
    type: 'object',
    properties: { ...properties, ...lasts, ...more },
    required,
    additionalProperties: false,
    examples: [example],
  })
  return {
    oneOf: [
      one('By the ids', ids, ['userId', 'sessionId', 'urlToken'], { ...named, expiresIn: '8h' }),
      one('By a plain link', { url }, ['url'], { url: plain }),
      one('By a User-to-User value', { uui, urlToken: ofUui }, ['uui'], {
        uui: formatUui(plain),
      }),
    ],
  }
}

/** The alternative that a body seems to mean, however wrong it is. */
export function alternativeOf(body: unknown): number {
  const fields = typeof body === 'object' && body !== null ? body : {}
  return 'url' in fields ? 1 : 'uui' in fields ? 2 : 0
}

/** What a link is asked for by, as the schemas have it. */
export interface LinkBody {
  readonly userId?: string
  readonly sessionId?: string
  readonly urlToken?: string
  readonly url?: string
  readonly uui?: string
  readonly expiresIn?: string
  readonly short?: boolean | { readonly uses?: number; readonly expiresIn?: string }
  readonly keepFor?: string
}

const time = (description: string) => ({ type: 'string', format: 'date-time', description })

const signed = {
  url: { type: 'string', format: 'uri', description: 'The signed link.' },
  expiresAt: time('When it ends: no later than the contact center’s TOKEN_MAX_AGE has it.'),
}

const shortened = {
  shortUrl: { type: 'string', format: 'uri', description: 'The short link, where one was asked.' },
  shortUrlExpiresAt: time('Until when it may be opened.'),
  uui: {
    type: 'string',
    description: 'The short link as the value of a User-to-User header, in hex.',
  },
}

const warned = {
  warnings: {
    type: 'array',
    items: { type: 'string' },
    description:
      'What is odd about a link, a User-to-User value or an id, although it is signed; or may go wrong on its way, such as a value that is longer than a system takes.',
  },
}

function answer(
  description: string,
  properties: Readonly<Record<string, object>>,
  required: readonly string[],
  example: object,
) {
  const examples = [example]
  return {
    description,
    type: 'object',
    properties,
    required,
    additionalProperties: false,
    examples,
  }
}

/** How curl asks, with a body or without. */
function curl(method: 'POST' | 'PUT' | 'GET', path: string, body: object | null = null) {
  // --json makes a POST.
  const request = method === 'PUT' ? ' --request PUT' : ''
  const source = [
    `curl --user "$id:$secret"${request}`,
    ...(body === null ? [] : [`--json '${JSON.stringify(body)}'`]),
    `https://links.example${path}`,
  ].join(' \\\n  ')
  return { 'x-codeSamples': [{ lang: 'Shell', label: 'curl', source }] }
}

const problem = {
  type: 'object',
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    requestId: { type: 'string', description: 'Leads to the line of the log.' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          field: { type: 'string', description: 'Empty: the body as a whole.' },
          problem: { type: 'string' },
        },
        required: ['field', 'problem'],
      },
    },
  },
  required: ['type', 'title', 'status', 'requestId'],
} as const

function problems(statuses: Readonly<Record<number, string>>) {
  return Object.fromEntries(
    Object.entries(statuses).map(([status, description]) => [
      status,
      { description, content: { 'application/problem+json': { schema: problem } } },
    ]),
  )
}

const ofClients = {
  401: 'No client, or not its secret.',
  403: 'A URLToken of somebody else’s, or a page that asks.',
  429: 'This address was refused too often; what is right is always answered.',
}
const ofBodies = {
  400: 'What is wrong with which field.',
  413: 'Over 16 kB.',
  415: 'Not JSON.',
}
const ofStore = { 503: 'The store is full or away. Links themselves are signed without it.' }

const security = [{ client: [] }]

const conversation = {
  type: 'object',
  properties: {
    conversationId: text('The contact center’s own id of it, percent-encoded in the path.', 256),
  },
  required: ['conversationId'],
} as const

/** All that is checked and documented of each route. */
export const schemas = {
  sign: {
    operationId: 'signLink',
    summary: 'Sign a link',
    description:
      'Makes a link that the gateway lets in, and if asked a short one that leads to it.',
    security,
    ...curl('POST', '/links', { ...named, short: true }),
    body: body({ short }),
    response: {
      200: answer(
        'The link.',
        { ...signed, ...shortened, ...warned },
        ['url', 'expiresAt', 'warnings'],
        {
          url: exampleLink,
          expiresAt: '2027-03-01T16:00:00.000Z',
          shortUrl: exampleShort,
          shortUrlExpiresAt: '2027-03-01T09:00:00.000Z',
          uui: formatUui(exampleShort),
          warnings: [],
        },
      ),
      ...problems({ ...ofBodies, ...ofClients, ...ofStore }),
    },
  },
  keep: {
    operationId: 'keepConversation',
    summary: 'Keep a conversation’s link',
    description:
      'For desktops that know only their own id of the conversation: whoever routes it says what it opens, in place of what was said before.',
    security,
    ...curl('PUT', '/links/by-conversation/case-2041', named),
    params: conversation,
    body: body({ keepFor }),
    response: {
      200: answer(
        'It is kept.',
        { expiresAt: time('Until when it can be looked up.'), ...warned },
        ['expiresAt', 'warnings'],
        { expiresAt: '2027-03-01T20:00:00.000Z', warnings: [] },
      ),
      ...problems({ ...ofBodies, ...ofClients, ...ofStore }),
    },
  },
  lookUp: {
    operationId: 'lookUpConversation',
    summary: 'Look up a conversation’s link',
    description: 'Signs it anew each time.',
    security,
    ...curl('GET', '/links/by-conversation/case-2041'),
    params: conversation,
    response: {
      200: answer('The link.', signed, ['url', 'expiresAt'], {
        url: exampleLink,
        expiresAt: '2027-03-01T16:00:00.000Z',
      }),
      ...problems({ ...ofClients, 404: 'None is kept for it.', ...ofStore }),
    },
  },
  open: {
    operationId: 'openShortLink',
    summary: 'Open a short link',
    description:
      'For the agent’s browser, without a credential. Only a navigation uses it up: no HEAD, no prefetch, no script.',
    params: {
      type: 'object',
      properties: { id: text('22 characters.', 256) },
      required: ['id'],
    },
    response: {
      303: { description: 'To the signed link, at the gateway.', type: 'null' },
      ...problems({
        403: 'No navigation.',
        404: 'Unknown, used or ended.',
        429: ofClients[429],
        503: 'The store is away.',
      }),
    },
  },
} as const

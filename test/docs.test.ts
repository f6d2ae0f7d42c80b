import { existsSync, readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { denials } from '../src/access/decision.ts'
import { usage } from '../src/commands/usage.ts'
import { denials as links } from '../src/links/reasons.ts'
import { advice } from '../src/observe/advice.ts'
import { type Metric, metrics } from '../src/observe/metrics.ts'
import { refusalPage } from '../src/pages.ts'
import { type Setting, settings } from '../src/settings/table.ts'
import { authorized, startAdmin } from './admin/stage.ts'
import { ask, exchange, link, startGateway, startUpstream } from './stage.ts'

const root = new URL('..', import.meta.url)
const read = (file: string): string => readFileSync(new URL(file, root), 'utf8')
const readme = read('README.md')
const operations = read('docs/operations.md')

/** The rows of the tables under this header, as cells. */
function table(header: string, text: string): string[][] {
  return text
    .split(`\n${header}`)
    .slice(1)
    .flatMap((after) => {
      const rows = after.split('\n').slice(2)
      const end = rows.findIndex((line) => !line.startsWith('|'))
      return rows.slice(0, end).map((row) =>
        row
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim()),
      )
    })
}

/** What stands in backticks. */
function names(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].flatMap(([, name]) => name ?? [])
}

t.test(
  'the settings table is the code’s, and so are those that the README begins with',
  async (t) => {
    const expected = Object.values<Setting>(settings).map((setting) => [
      `\`${setting.name}\`${setting.file ? ' ▪' : ''}`,
      setting.default === undefined ? setting.absent : `\`${setting.default}\``,
      setting.meaning,
    ])
    t.same(table('| setting |', read('docs/settings.md')), expected)
    const first = table('| setting |', readme)
    t.ok(first.length > 5)
    t.same(
      first,
      expected.filter(([name]) => first.some(([one]) => one === name)),
    )
  },
)

t.test('the table of metrics is the code’s', async (t) => {
  const expected = Object.values<Metric>(metrics).map(({ name, type, labels, help }) => [
    `\`${name}\``,
    type,
    labels.map((label) => `\`${label}\``).join(', '),
    help,
  ])
  t.same(table('| metric |', operations), expected)
})

t.test('the routes of the admin listener answer', async (t) => {
  const dashboard = t.testdir({ 'index.html': '<!doctype html>' })
  const { origin } = await startAdmin(t, { dashboard })
  const routes = table('| route |', operations).map(
    ([cell = '']) => names(cell)[0]?.split(' ') ?? [],
  )
  t.ok(routes.length > 5)
  for (const [method = '', path = ''] of routes) {
    // The stream has no end: its head will do.
    const asked = {
      method: path === '/events' ? 'HEAD' : method,
      headers: { ...authorized, ...(method === 'POST' && { 'Content-Type': 'application/json' }) },
      ...(method === 'POST' && { body: JSON.stringify({ link: link() }) }),
    }
    t.equal((await ask(origin, path, asked)).status, 200, `${method} ${path}`)
  }
})

t.test('the table of reasons is the code’s', async (t) => {
  const documented = table('| reason |', read('docs/runbook.md')).map(([reason = '', ...cells]) => [
    names(reason)[0],
    ...cells,
  ])
  t.same(
    documented,
    Object.entries(advice).map(([reason, { happened, remedy }]) => [
      reason,
      String(Object.entries(denials).find(([denied]) => denied === reason)?.[1]),
      happened,
      remedy,
    ]),
  )
  t.same(Object.keys(advice), Object.keys(denials))
})

t.test('the table of the links API’s reasons is the code’s', async (t) => {
  t.same(
    table('| why a link is refused |', read('docs/runbook.md')).map(([reason = '', status]) => [
      names(reason)[0],
      status,
    ]),
    Object.entries(links).map(([reason, status]) => [reason, String(status)]),
  )
})

t.test('the fields of an audit line are documented, and nothing else is', async (t) => {
  const documented = new Set(table('| field |', operations).flatMap(([cell = '']) => names(cell)))
  const upstream = await startUpstream(t, undefined, (request, socket) => {
    // A 101 to somebody else's handshake, and an honest one.
    const accept = request.url?.startsWith('/wrong') ? 'x' : 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket'
    socket.write(`HTTP/1.1 101 x\r\n${upgrade}\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`)
  })
  const gateway = await startGateway(t, upstream.origin)
  const send = (target: string, ...lines: string[]): Promise<string> =>
    exchange(
      gateway.port,
      [`GET ${target} HTTP/1.1`, `Host: localhost:${gateway.port}`, ...lines, '\r\n'].join('\r\n'),
    )
  const handshake = [
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  ]
  await send(link(), 'Connection: close')
  await send('/', 'Connection: close', 'Referer: https://cc.example/desk')
  await send(link({}, '/wrong'), ...handshake)
  await send(link(), ...handshake, `Origin: https://localhost:${gateway.port}`)
  const open = send(link(), ...handshake)
  await gateway.audited(5)
  await gateway.close()
  await open
  const seen = new Set((await gateway.audited(6)).flatMap((line) => Object.keys(line)))
  seen.delete('level')
  seen.delete('time')
  t.same([...seen].sort(), [...documented].sort())
})

t.test('every event of the log is documented, and every command', async (t) => {
  const sources = readdirSync(new URL('src', root), { recursive: true, encoding: 'utf8' })
  const events = sources
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => [...read(`src/${file}`).matchAll(/\bevent: '([a-z-]+)'/g)])
    .flatMap(([, event = '']) => (event === 'access' ? [] : event))
  const documented = table('| event |', operations).flatMap(([cell = '']) => names(cell))
  t.same(documented.sort(), [...new Set(events)].sort())

  const commands = [...usage.matchAll(/^ {2}([a-z]+) +\S/gm)].map(([, command]) => command)
  const listed = table('| command |', read('docs/commands.md')).map(([cell = '']) => names(cell)[0])
  t.same(listed.sort(), commands.sort())
})

t.test('however the gateway is started, Node.js gets the same options', async (t) => {
  const options: string[] = JSON.parse(read('package.json')).scripts.start.match(/--\S+/g) ?? []
  t.ok(options.length > 0)
  t.match(read('docs/commands.md'), `\`node ${options.join(' ')} src/cli.ts start\``)
  t.match(read('deploy/copilot-gateway.service'), `/node ${options.join(' ')} /`)
  const [, entry = ''] = /^ENTRYPOINT (.*)$/m.exec(read('Dockerfile')) ?? []
  t.strictSame(JSON.parse(entry), ['node', ...options, 'dist/src/cli.js'])
})

t.test('the map of the tree is the tree’s', async (t) => {
  const map = read('docs/architecture.md').split('<!-- map -->')[1] ?? ''
  const entries = [...map.matchAll(/^ {2}(\S+)/gm)].map(([, name]) => name?.replace(/\/$/, ''))
  t.same(entries.sort(), readdirSync(new URL('src', root)).sort())
  for (const [, folder] of map.matchAll(/^(\S+\/) /gm)) {
    t.ok(existsSync(new URL(folder ?? '', root)), `${folder}`)
  }
})

t.test('what the picture names is in the tree', async (t) => {
  const picture = read('docs/architecture.svg').replace(/^<desc.*$/m, '')
  const named = [...picture.matchAll(/[\w-]+(?:\.ts|\/)(?=[\s,;<])/g)].map(([name]) => name)
  t.ok(named.length > 15)
  for (const name of named) t.ok(existsSync(new URL(`src/${name}`, root)), name)
})

t.test(
  'each refusal page has a section, with its title and all reasons that lead to it',
  async (t) => {
    const sections = read('docs/refusal-pages.md').split('\n## ').slice(1)
    const pages = new Map(
      sections.flatMap((section): [string, string][] =>
        /^\d{3}: /.test(section) ? [[section.slice(0, 3), section]] : [],
      ),
    )
    t.same([...pages.keys()].sort(), [...new Set(Object.values(denials).map(String))].sort())
    for (const [status, section] of pages) {
      const [, title] = /<h1>(.*)<\/h1>/.exec(refusalPage(Number(status), 'id', false)) ?? []
      t.equal(section.split('\n')[0], `${status}: ${title}`)
    }
    for (const [reason, status] of Object.entries(denials))
      t.match(pages.get(String(status)), `\`${reason}\``)
  },
)

/** A heading's anchor, as forges make it. */
function anchor(heading: string): string {
  const text = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
  return text.replaceAll(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-')
}

t.test('every file and heading that the documents name is there', async (t) => {
  const docs = readdirSync(new URL('docs', root)).filter((file) => file.endsWith('.md'))
  const packages = readdirSync(new URL('packages', root))
  for (const document of [
    ...['README.md', 'SECURITY.md', 'CONTRIBUTING.md', 'bench/README.md', 'certs/README.md'],
    ...[...docs, 'decisions/README.md'].map((file) => `docs/${file}`),
    ...packages.map((name) => `packages/${name}/README.md`),
  ]) {
    const text = read(document)
    const links = [...text.matchAll(/\]\((?!https?:)([^)]+)\)|src="([^"]+)"/g)].map(
      ([, link, source]) => new URL(link ?? source ?? '', new URL(document, root)),
    )
    for (const link of links) {
      t.ok(existsSync(link), `${document}: ${link.pathname}`)
      if (!link.hash || !link.pathname.endsWith('.md')) continue
      const headings = [...readFileSync(link, 'utf8').matchAll(/^#+ (.*)$/gm)]
      const anchors = headings.map(([, heading = '']) => `#${anchor(heading)}`)
      t.ok(anchors.includes(link.hash), `${document}: ${link.hash}`)
    }
    for (const name of names(text).filter((name) => /^(?:src|test)\/\S+\.ts$/.test(name))) {
      t.ok(existsSync(new URL(name, root)), `${document}: ${name}`)
    }
  }
})

t.test('nobody is told to install by a name that is nobody’s on the registry', async (t) => {
  const manifests = readdirSync(new URL('packages', root)).map(
    (name) => `packages/${name}/package.json`,
  )
  const ours = new Set(['package.json', ...manifests].map((file) => JSON.parse(read(file)).name))
  const docs = readdirSync(new URL('docs', root)).filter((file) => file.endsWith('.md'))
  for (const page of [
    ...['README.md', 'CONTRIBUTING.md', ...docs.map((file) => `docs/${file}`)],
    ...manifests.map((file) => file.replace('package.json', 'README.md')),
  ]) {
    const installed = [...read(page).matchAll(/npm (?:i|install|add)((?: +[^\s`]+)+)/g)]
    const names = installed.flatMap(([, words = '']) => words.trim().split(/ +/))
    t.same(
      names.filter((name) => ours.has(name.replace(/(?<=.)@.*/, ''))),
      [],
      page,
    )
  }
})

t.test('every page is in the index', async (t) => {
  const index = read('docs/README.md')
  for (const file of readdirSync(new URL('docs', root)))
    if (file.endsWith('.md') && file !== 'README.md') t.match(index, `(${file})`)
})

t.test('every promise names the code that keeps it and a test that holds it', async (t) => {
  const promises = table('| promise |', read('SECURITY.md'))
  t.ok(promises.length > 20, 'the tables are found')
  for (const [promise = '', file = '', test = ''] of promises) {
    t.ok(names(file).length > 0, `${promise}: a file`)
    t.ok(
      names(test).some((name) => /^test\/.+\.test\.ts$/.test(name)),
      `${promise}: a test`,
    )
    for (const name of [...names(file), ...names(test)]) {
      t.ok(existsSync(new URL(name, root)), `${promise}: ${name}`)
    }
  }
  t.equal(new Set(promises.map(([promise]) => promise)).size, promises.length, 'each once')
})

t.test('the limits of the threat model are the settings’ defaults', async (t) => {
  const limits = table('| setting |', read('SECURITY.md'))
  t.ok(limits.length > 0)
  for (const [cell = '', value] of limits) {
    const setting = Object.values<Setting>(settings).find(({ name }) => names(cell)[0] === name)
    t.equal(value, `\`${setting?.default}\``, cell)
  }
})

t.test('every test of a threat is in the index of threats', async (t) => {
  const threats = read('SECURITY.md').split('## Threats')[1] ?? ''
  const rows = threats.split('\n').filter((line) => /^\| (?!threat |---)/.test(line))
  for (const row of rows) {
    const [, threat = '', defence = '', test = ''] = row.split('|').map((cell) => cell.trim())
    t.ok(
      names(defence).some((file) => existsSync(new URL(file, root))),
      `a defence: ${threat}`,
    )
    t.ok(
      names(test).some((file) => file.startsWith('test/')),
      `a test: ${threat}`,
    )
  }
  const tests = readdirSync(new URL('test/security', root)).filter((file) =>
    /\.test\.ts$/.test(file),
  )
  for (const file of tests) t.match(threats, `\`test/security/${file}\``)
})

t.test('every decision is in the index', async (t) => {
  const pages = readdirSync(new URL('docs/decisions', root)).filter((file) => file !== 'README.md')
  const index = read('docs/decisions/README.md')
  for (const page of pages) t.match(index, `(${page})`)
})

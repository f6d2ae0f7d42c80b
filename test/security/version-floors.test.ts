import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import t from 'tap'
import { floors as runtimeFloors, runtimeNeeded } from '../../src/commands/runtime.ts'
import { start } from '../process/child.ts'
import { startUpstream } from '../stage.ts'

// The oldest versions that are vouched for. What another package brings along is looked up there.
const seen = 'what these tests were made against'
const floors: readonly (readonly [name: string, floor: string, why: string, by?: string])[] = [
  ['fast-jwt', '6.3.6', 'before, an expired token passed on a hit of its cache', '@fastify/jwt'],
  ['ws', '8.21.0', 'before, tiny fragments filled the memory', '@fastify/http-proxy'],
  ['undici', '7.24.0', 'CVE-2026-1525, two Content-Lengths', '@fastify/reply-from'],
  ['undici', '7.30.2', seen],
  ['find-my-way', '9.0.1', 'CVE-2024-45813, routes that took too long', 'fastify'],
  ['fastify', '5.12.8', seen],
  ['@fastify/http-proxy', '11.6.3', seen],
  ['@fastify/reply-from', '12.6.5', seen, '@fastify/http-proxy'],
  ['@fastify/jwt', '10.2.8', seen],
]

for (const [name, floor, why, by] of floors) {
  t.test(`${name} is ${floor} or newer: ${why}`, async (t) => {
    let require = createRequire(import.meta.url)
    for (const through of by === '@fastify/reply-from' ? ['@fastify/http-proxy', by] : [by ?? '']) {
      if (through !== '') require = createRequire(require.resolve(through))
    }
    const { version } = require(`${name}/package.json`)
    t.ok(order(String(version)) >= order(floor), `${version} is there`)
  })
}

t.test('every Node.js that comes along, or is asked for, has no hole that is known', async (t) => {
  const root = manifest('package.json')
  const others = manifest('test/runtimes/package.json')
  const listed = Object.entries({ ...root.optionalDependencies, ...others.optionalDependencies })
  const runtimes = listed.filter(([name]) => /^node-/.test(name))
  t.equal(runtimes.length, 6)
  for (const [name, version] of runtimes) {
    const [exact] = /\d+\.\d+\.\d+$/.exec(version) ?? []
    t.equal(runtimeNeeded(String(exact)), null, `${name} ${version}`)
  }
  const [first, second, third] = Object.values(runtimeFloors)
  t.equal(root.engines.node, `^${first} || ^${second} || >=${third}`)
})

t.test('a Node.js with known holes is warned of at the start', async (t) => {
  for (const [version, needed] of [
    ['20.20.2', '22.23.2'],
    ['22.19.0', '22.23.2'],
    ['22.23.1', '22.23.2'],
    ['22.23.2', null],
    ['22.24.0', null],
    ['23.11.1', '24.18.1'],
    ['24.18.0', '24.18.1'],
    ['24.21.0', null],
    ['25.9.0', '26.5.1'],
    ['26.5.0', '26.5.1'],
    ['26.10.0', null],
    ['27.0.0', null],
  ] as const) {
    t.equal(runtimeNeeded(version), needed, version)
  }
  const upstream = await startUpstream(t)
  const older = `Object.defineProperty(process, 'versions', {value: {...process.versions, node: '24.18.0'}})`
  const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(older)}`
  const gateway = await start(t, upstream.origin, { NODE_OPTIONS })
  t.match(
    gateway.lines.find(({ event }) => event === 'runtime-warning'),
    { level: 40, node: '24.18.0', needed: '24.18.1' },
  )
})

interface Manifest {
  readonly engines: { readonly node: string }
  readonly optionalDependencies: Readonly<Record<string, string>>
}

function manifest(path: string): Manifest {
  return JSON.parse(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8'))
}

/** A version as a number that is in their order. */
function order(version: string): number {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
  return (major * 1000 + minor) * 1000 + patch
}

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import t from 'tap'

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

t.test('the runtime that comes along is past CVE-2026-21714, HTTP/2 that leaked', async (t) => {
  const { optionalDependencies } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  )
  const runtimes = Object.entries(optionalDependencies).filter(([name]) => /^node-/.test(name))
  t.ok(runtimes.length > 0)
  for (const [name, version] of runtimes) t.ok(order(String(version)) >= order('24.14.1'), name)
})

/** A version as a number that is in their order. */
function order(version: string): number {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
  return (major * 1000 + minor) * 1000 + patch
}

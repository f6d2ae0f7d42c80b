import type { LookupAddress } from 'node:dns'
import { lookup } from 'node:dns/promises'
import t from 'tap'
import { findTarget, resolveHost } from '../../src/load/target.ts'

const at = (...addresses: readonly string[]): LookupAddress[] =>
  addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))

/** What a name is said to be; an address is itself, as the system says. */
const names: Readonly<Record<string, LookupAddress[]>> = {
  localhost: at('127.0.0.1', '::1'),
  'gateway.localhost': at('10.0.0.7'),
  '127.0.0.1.nip.io': at('127.0.0.1'),
  '127.0.0.1.elsewhere.example': at('192.0.2.1'),
  'localhost.elsewhere.example': at('192.0.2.1'),
  'half.example': at('127.0.0.1', '192.0.2.1'),
  'mapped.example': at('::ffff:10.0.0.1'),
}

async function find(url: URL, owned: boolean) {
  const addresses = await resolveHost(url, (host) => {
    const known = names[host]
    return known === undefined ? lookup(host, { all: true }) : Promise.resolve(known)
  })
  return typeof addresses === 'string' ? addresses : findTarget(url, addresses, owned)
}

t.test('load goes to this machine, however that is written', async (t) => {
  for (const written of [
    'localhost',
    '127.0.0.1',
    '127.1',
    '127.255.255.254',
    '2130706433',
    '0x7f.0.0.1',
    '0177.0.0.1',
    '[::1]',
    '[0:0:0:0:0:0:0:1]',
    '127.0.0.1.nip.io',
  ]) {
    const url = new URL(`http://${written}:8080/base`)
    t.match(await find(url, false), { url }, written)
  }
})

t.test('and nowhere else, unless somebody says that it is theirs', async (t) => {
  const rows: readonly (readonly [string, string])[] = [
    ['10.0.0.1', '10.0.0.1'],
    ['0.0.0.0', '0.0.0.0'],
    ['0', '0.0.0.0'],
    ['[::]', '::'],
    ['[::ffff:10.0.0.1]', '::ffff:a00:1'],
    ['[::ffff:127.0.0.1]', '::ffff:7f00:1'],
    ['[::127.0.0.1]', '::7f00:1'],
    ['167772161', '10.0.0.1'],
    ['0x0a.1', '10.0.0.1'],
    ['128.0.0.1', '128.0.0.1'],
    ['gateway.localhost', 'gateway.localhost is 10.0.0.7, which'],
    ['127.0.0.1.elsewhere.example', '127.0.0.1.elsewhere.example is 192.0.2.1, which'],
    ['localhost.elsewhere.example', 'localhost.elsewhere.example is 192.0.2.1, which'],
    ['half.example', 'half.example is 192.0.2.1, which'],
    ['mapped.example', 'mapped.example is ::ffff:10.0.0.1, which'],
  ]
  for (const [written, where] of rows) {
    const url = new URL(`http://${written}:8080`)
    const sentence = `${where} is no loopback address: load goes there only with --yes-i-own-this`
    t.equal(await find(url, false), sentence, written)
    t.match(await find(url, true), { url }, `${written}, owned`)
  }
})

t.test('what is no name is said to be none', async (t) => {
  const found = await resolveHost(new URL('http://no-such-name.invalid'), async () => {
    throw Object.assign(new Error('none'), { code: 'ENOTFOUND' })
  })
  t.equal(
    found,
    'no-such-name.invalid cannot be resolved (ENOTFOUND): look at the name, and at the DNS of this machine',
  )
  await t.rejects(
    resolveHost(new URL('http://localhost'), () => Promise.reject(new TypeError('broken'))),
    'a fault of our own is none of the name’s',
  )
})

// What is sealed is read by who knows its name, as it was sealed, or not at all.
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { keyOf, seal, unseal } from '../../src/links/sealing.ts'
import { byIds } from './stage.ts'

const kept = {
  ...byIds,
  contactCenter: 'Hamburg',
  client: 'crm',
  expiresIn: 3_600_000,
  at: 1_800_000_000_000,
}
const name = randomBytes(16)
const sealed = seal(name, kept)

t.test('under its name', async (t) => {
  t.same(unseal(name, sealed), kept)
  t.not(seal(name, kept), sealed, 'never the same twice')
  t.not(keyOf(name), name.toString('base64url'))
})

t.test('under no other, and not with a bit of it changed', async (t) => {
  t.equal(unseal(randomBytes(16), sealed), null)
  t.equal(unseal(Buffer.from(keyOf(name), 'base64url'), sealed), null, 'the key opens nothing')
  const bytes = Buffer.from(sealed, 'base64url')
  for (let i = 0; i < bytes.length; i += 1) {
    const changed = Buffer.from(bytes)
    changed.writeUInt8(changed.readUInt8(i) ^ 1, i)
    t.equal(unseal(name, changed.toString('base64url')), null, `byte ${i}`)
  }
  for (const length of [0, 5, 12, 20, 28, bytes.length - 1]) {
    t.equal(unseal(name, bytes.subarray(0, length).toString('base64url')), null, `${length} bytes`)
  }
})

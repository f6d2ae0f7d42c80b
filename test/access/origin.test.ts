import t from 'tap'
import { isNavigation, originAllowed, type Provenance } from '../../src/access/origin.ts'

const own = 'https://gateway.example'
const request: Provenance = {
  method: 'GET',
  upgrade: false,
  origin: undefined,
  fetchSite: undefined,
  fetchMode: undefined,
  own: [own],
}
const upgrade = { ...request, upgrade: true }

/** What is not the gateway's own, however much it looks so. */
const foreign = [
  'https://evil.example',
  'https://gateway.example.evil.example',
  'https://evil-gateway.example',
  'https://gateway.example:8443',
  'https://gateway.example:443',
  'http://gateway.example',
  'https://GATEWAY.example',
  'https://gateway.example/',
  'https://gateway.example.',
  'https://user@gateway.example',
  ' https://gateway.example',
  'https://gateway.example https://evil.example',
  'https://gateway.example, https://evil.example',
  'wss://gateway.example',
  'gateway.example',
  '//gateway.example',
  'null',
  'https://',
  '*',
  '',
]

t.test('an upgrade comes from the gateway’s own page, or from no page at all', (t) => {
  for (const cookiesOnly of [true, false]) {
    const by = cookiesOnly ? 'by cookies' : 'by a token'
    t.equal(originAllowed({ ...upgrade, origin: own }, cookiesOnly), true, `own, ${by}`)
    for (const origin of foreign) {
      const refused = originAllowed({ ...upgrade, origin }, cookiesOnly)
      t.equal(refused, false, `${JSON.stringify(origin)}, ${by}`)
    }
  }
  t.equal(originAllowed(upgrade, false), true, 'none, by a token')
  t.equal(originAllowed(upgrade, true), false, 'none, by cookies')
  for (const fetchSite of ['same-origin', 'none', 'cross-site']) {
    const claimed = { ...upgrade, fetchSite, fetchMode: 'websocket' }
    t.equal(originAllowed(claimed, true), false, `none, by cookies, ${fetchSite}`)
    const evil = { ...claimed, origin: 'https://evil.example' }
    t.equal(originAllowed(evil, true), false, `another, by cookies, ${fetchSite}`)
    t.equal(originAllowed(evil, false), false, `another, by a token, ${fetchSite}`)
  }
  const navigation = { ...upgrade, fetchSite: 'cross-site', fetchMode: 'navigate' }
  t.equal(originAllowed(navigation, true), false, 'no navigation ends in an upgrade')
  t.end()
})

t.test('each of several own origins is one, and none is none', (t) => {
  const several = [own, 'https://b.example:8443', 'http://localhost:8080']
  for (const origin of several) {
    t.equal(originAllowed({ ...upgrade, own: several, origin }, true), true, origin)
  }
  const wrong = { ...upgrade, own: several, origin: 'https://b.example' }
  t.equal(originAllowed(wrong, true), false, 'without its port')
  t.equal(originAllowed({ ...upgrade, own: [], origin: own }, true), false, 'no own origin')
  t.end()
})

t.test('a request with a token may come from anywhere', (t) => {
  for (const method of ['GET', 'HEAD', 'POST', 'DELETE', 'PROPFIND']) {
    for (const fetchSite of [undefined, 'same-origin', 'same-site', 'cross-site', 'none']) {
      for (const origin of [undefined, own, 'https://evil.example', 'null']) {
        const message = `${method} ${fetchSite} ${origin}`
        t.equal(originAllowed({ ...request, method, fetchSite, origin }, false), true, message)
      }
    }
  }
  t.end()
})

t.test('by cookies alone a request comes from the workspace, or asks for a document', (t) => {
  const rows: readonly (readonly [string, string | undefined, string | undefined, boolean])[] = [
    ['GET', 'same-origin', 'cors', true],
    ['GET', 'same-origin', 'no-cors', true],
    ['GET', 'same-origin', 'navigate', true],
    ['GET', 'same-origin', undefined, true],
    ['HEAD', 'same-origin', 'cors', true],
    ['POST', 'same-origin', 'cors', true],
    ['PUT', 'same-origin', 'cors', true],
    ['DELETE', 'same-origin', 'same-origin', true],
    ['GET', 'none', 'navigate', true],
    ['GET', 'none', undefined, true],
    ['POST', 'none', 'navigate', true],
    ['GET', 'cross-site', 'navigate', true],
    ['GET', 'same-site', 'navigate', true],
    ['GET', 'cross-site', 'no-cors', false],
    ['GET', 'cross-site', 'cors', false],
    ['GET', 'cross-site', 'same-origin', false],
    ['GET', 'cross-site', 'websocket', false],
    ['GET', 'cross-site', 'nested-navigate', false],
    ['GET', 'cross-site', 'Navigate', false],
    ['GET', 'cross-site', '', false],
    ['GET', 'cross-site', undefined, false],
    ['GET', 'same-site', 'cors', false],
    ['GET', 'same-site', 'no-cors', false],
    ['HEAD', 'cross-site', 'navigate', false],
    ['POST', 'cross-site', 'navigate', false],
    ['POST', 'same-site', 'navigate', false],
    ['get', 'cross-site', 'navigate', false],
    ['OPTIONS', 'cross-site', 'cors', false],
    ['DELETE', 'cross-site', 'cors', false],
    ['GET', '', 'cors', false],
    ['GET', 'Same-Origin', 'cors', false],
    ['GET', 'same-origin, cross-site', 'cors', false],
    ['GET', 'same-origin, same-origin', 'cors', false],
    ['GET', 'unknown', 'cors', false],
  ]
  for (const [method, fetchSite, fetchMode, expected] of rows) {
    for (const origin of [undefined, 'https://evil.example']) {
      const message = `${method} ${fetchSite} ${fetchMode} from ${origin}`
      const asked = { ...request, method, fetchSite, fetchMode, origin }
      t.equal(originAllowed(asked, true), expected, message)
    }
  }
  const claimed = { ...request, method: 'POST', fetchSite: 'cross-site', origin: own }
  t.equal(originAllowed(claimed, true), false, 'an Origin does not make up for Fetch Metadata')
  t.end()
})

t.test(
  'without Fetch Metadata, by cookies alone, what changes state says where it is from',
  (t) => {
    for (const method of ['GET', 'HEAD', 'OPTIONS']) {
      for (const origin of [undefined, own, ...foreign]) {
        const message = `${method} from ${JSON.stringify(origin)}`
        t.equal(originAllowed({ ...request, method, origin }, true), true, message)
      }
    }
    const unsafe = ['POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND', 'MKCOL', 'QUERY', 'get', 'X', '']
    for (const method of unsafe) {
      t.equal(originAllowed({ ...request, method, origin: own }, true), true, `${method} from own`)
      t.equal(originAllowed({ ...request, method }, true), false, `${method} from nowhere`)
      for (const origin of foreign) {
        const message = `${method} from ${JSON.stringify(origin)}`
        t.equal(originAllowed({ ...request, method, origin }, true), false, message)
      }
    }
    t.end()
  },
)

t.test('a navigation is a GET that a browser makes for a document', (t) => {
  const rows: readonly (readonly [string, string | undefined, boolean])[] = [
    ['GET', 'navigate', true],
    ['GET', 'no-cors', false],
    ['GET', 'cors', false],
    ['GET', 'websocket', false],
    ['GET', '', false],
    ['GET', undefined, false],
    ['HEAD', 'navigate', false],
    ['POST', 'navigate', false],
    ['get', 'navigate', false],
  ]
  for (const [method, fetchMode, expected] of rows) {
    const asked = { ...request, method, fetchSite: 'cross-site', fetchMode }
    t.equal(isNavigation(asked), expected, `${method} ${fetchMode}`)
  }
  t.end()
})

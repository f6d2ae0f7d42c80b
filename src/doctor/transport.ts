import { BlockList, isIPv6 } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { isLoopback } from '../forward/frame-ancestors.ts'
import { type Check, type Examined, fail, type Outcome, pass, skip, warn } from './check.ts'
import { codeOf, connectPlain, connectSecurely, hostOf } from './connection.ts'
import { pathAt } from './credentials.ts'
import { exchange } from './probe.ts'
import { refused } from './refusals.ts'

/** Where the gateway is. */
export const address: readonly Check[] = [
  {
    id: 'reachable',
    promise: 'Something answers at the address.',
    remedy: 'Look at the name, the port, the firewall, and whether the gateway runs.',
    needs: 'nothing',
    run: ({ trouble, place }) =>
      trouble === null ? pass(addressesOf(place.addresses)) : fail(trouble),
  },
  {
    id: 'https-only',
    promise: 'Browsers reach the gateway by TLS.',
    remedy: 'Set TLS_CERT_FILE, or end TLS in front of the gateway and set PUBLIC_URL.',
    needs: 'nothing',
    run({ place: { url } }) {
      if (url.protocol === 'https:') return pass('https')
      if (isLoopback(hostOf(url))) return skip('plain HTTP on loopback')
      return fail('plain HTTP: whoever is on the way reads every link and cookie')
    },
  },
  {
    id: 'public-address',
    promise: 'The name leads to addresses that a public page may frame without asking the agent.',
    remedy:
      'Chrome asks each agent for permission (Local Network Access): publish the gateway at a public address; or else give the frame allow="local-network-access", and browsers the policy LocalNetworkAccessAllowedForUrls for the contact center.',
    needs: 'nothing',
    run({ place: { url, addresses } }) {
      if (isLoopback(hostOf(url))) return skip('this machine')
      if (addresses.length === 0) return skip('the name has no address')
      const inside = addresses.filter(isInside)
      return inside.length === 0 ? pass('public') : warn(`${addressesOf(inside)} is not public`)
    },
  },
]

const day = 86_400_000

/** How the connection is kept to oneself. */
export const tls: readonly Check[] = [
  {
    id: 'certificate',
    promise: 'The certificate is the name’s own, and its chain leads to a trusted issuer.',
    remedy:
      'Send the whole chain, for this very name, and renew it in time; if the issuer is private, name it in NODE_EXTRA_CA_CERTS.',
    needs: 'tls',
    run: (_, { problem, protocol }) => (problem === null ? pass(protocol) : fail(problem)),
  },
  {
    id: 'certificate-end',
    promise: 'The certificate is good for 21 days or more.',
    remedy: 'Renew it, and find out why nothing has renewed it by itself.',
    needs: 'tls',
    run({ now }, { end }) {
      // Whoever made it may have written anything there.
      if (Number.isNaN(end.getTime())) return fail('no date')
      const seen = `until ${end.toISOString().slice(0, 10)}`
      if (end.getTime() < now) return fail(seen)
      return end.getTime() < now + 21 * day ? warn(seen) : pass(seen)
    },
  },
  {
    id: 'old-tls',
    promise: 'TLS 1.0 and 1.1 are refused.',
    remedy: 'Where TLS ends, take TLS 1.2 for the least version (RFC 8996).',
    needs: 'tls',
    run: (examined) =>
      handshakeRefused(examined, fail('a connection of TLS 1.1 or older was accepted'), {
        minVersion: 'TLSv1',
        maxVersion: 'TLSv1.1',
        // OpenSSL does not even offer them otherwise.
        ciphers: 'DEFAULT:@SECLEVEL=0',
      }),
  },
  {
    id: 'forward-secrecy',
    promise: 'Whoever gets the certificate’s key later can’t read what was recorded before.',
    remedy:
      'Where TLS ends, offer suites with an ephemeral key exchange (ECDHE) alone; where that is in the gateway, give it an ECDSA certificate.',
    needs: 'tls',
    run: (examined) =>
      handshakeRefused(examined, warn('suites with a static RSA key are accepted'), {
        maxVersion: 'TLSv1.2',
        ciphers: 'kRSA:!aNULL:!eNULL',
      }),
  },
  {
    id: 'plain-http',
    promise: 'The port of HTTPS does not serve plain HTTP.',
    remedy: 'Close plain HTTP on that port: a link that was typed without the s is readable.',
    needs: 'tls',
    async run({ place }) {
      const signal = AbortSignal.timeout(place.deadline)
      try {
        const socket = await connectPlain(place, signal)
        const request = { target: pathAt(place.url) }
        const { status, headers } = await exchange(socket, place.url.host, request, signal)
        const elsewhere = /^https:/i.test(headers.location ?? '') || [400, 426].includes(status)
        return elsewhere ? pass(`${status}`) : fail(`plain HTTP was answered with ${status}`)
      } catch (error) {
        return pass(`not answered: ${codeOf(error)}`)
      }
    },
  },
  {
    id: 'http2',
    promise: 'HTTP/2 is offered, and refuses as HTTP/1.1 does.',
    remedy:
      'Where TLS ends, offer h2 by ALPN: without it the chats of an agent share six connections.',
    needs: 'tls',
    async run({ place, probe }, { http2 }) {
      if (!http2) return warn('not offered')
      return refused(await probe.ask({ target: pathAt(place.url), http2 }), 401)
    },
  },
]

/** Passes where a handshake with these options is refused. */
async function handshakeRefused(
  { place }: Examined,
  accepted: Outcome,
  options: ConnectionOptions,
): Promise<Outcome> {
  try {
    const signal = AbortSignal.timeout(place.deadline)
    const socket = await connectSecurely(place, options, signal)
    socket.destroy()
    return accepted
  } catch (error) {
    const code = codeOf(error)
    return /ALERT|ECONNRESET/.test(code) ? pass(code) : skip(`no plain refusal: ${code}`)
  }
}

function addressesOf(addresses: readonly { readonly address: string }[]): string {
  return addresses.map(({ address }) => address).join(', ')
}

// What browsers call local (https://wicg.github.io/local-network-access/#ip-address-space-heading).
const inside = new BlockList()
for (const [network, prefix] of [
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['::1', 128],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
] as const) {
  inside.addSubnet(network, prefix, isIPv6(network) ? 'ipv6' : 'ipv4')
}

function isInside({ address }: { readonly address: string }): boolean {
  return inside.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
}

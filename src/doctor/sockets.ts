import { type Check, fail, pass, warn } from './check.ts'
import { madeUp, pathAt, queryOf } from './credentials.ts'
import { foreignOrigin, isRefusal, refused } from './refusals.ts'

const channel = '/socket.io/?EIO=4&transport=websocket'

/** The socket is let in as its page is. No message is ever sent on it. */
export const sockets: readonly Check[] = [
  {
    id: 'socket-without-credential',
    promise: 'A WebSocket without a credential is refused.',
    remedy: 'Lead /socket.io/ with its upgrades through the gateway, and close the backend’s host.',
    needs: 'answers',
    async run({ probe, place }) {
      const target = pathAt(place.url, channel)
      return refused(await probe.ask({ target, upgrade: true }), 401)
    },
  },
  {
    id: 'socket-of-a-foreign-page',
    promise: 'A WebSocket of a foreign page is refused, however good its link.',
    remedy: 'Look what drops or rewrites Origin in front of the gateway.',
    needs: 'answers',
    async run({ probe, place, link }) {
      const target = `${pathAt(place.url, channel)}&${queryOf(link ?? madeUp)}`
      const headers = [['Origin', foreignOrigin]] as const
      return refused(await probe.ask({ target, headers, upgrade: true }), 403)
    },
  },
  {
    id: 'socket-of-the-own-page',
    promise: 'A WebSocket of the workspace’s own page is not refused by the gateway.',
    remedy:
      'Set PUBLIC_URL to the origin that browsers see where TLS ends in front, and let upgrades through there.',
    needs: 'session',
    async run({ probe, place }, cookie) {
      const headers = [
        ['Origin', place.url.origin],
        ['Cookie', cookie],
      ] as const
      const target = pathAt(place.url, channel)
      const answer = await probe.ask({ target, headers, upgrade: true, welcome: true })
      const { kind, status } = answer
      if (status === 101) return pass('101')
      if (isRefusal(answer) && status < 500) return fail(kind)
      return warn(`${kind}: the socket did not open, though the gateway did not refuse it`)
    },
  },
]

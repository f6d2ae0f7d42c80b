// Requests that were whole have their answers, in their order, whatever came behind them in the same
// piece: that answers go out at the end of a turn is nothing that a client may notice.
import t from 'tap'
import { exchange, link, startGateway, startUpstream } from '../stage.ts'

const upstream = await startUpstream(t)
const gateway = await startGateway(t, upstream.origin)
const refused = 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n'

const rows: readonly (readonly [string, string, readonly string[]])[] = [
  ['no HTTP behind one', `${refused}what?\r\n\r\n`, ['401']],
  ['no HTTP behind two', `${refused}${refused}what?\r\n\r\n`, ['401', '401']],
  [
    'a body that is no HTTP behind one',
    `${refused}POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
    ['401'],
  ],
  [
    'no HTTP behind one that the workspace is asked for',
    `POST ${link({}, '/order')} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nabwhat?\r\n\r\n`,
    ['200', '400'],
  ],
  [
    'a version that is none behind one',
    `${refused}GET /x HTTP/2.0\r\nHost: a\r\n\r\n`,
    ['401', '400'],
  ],
]
for (const [name, bytes, statuses] of rows) {
  t.test(name, async (t) => {
    const text = await exchange(gateway.port, bytes)
    const found = [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)
    t.same(found.slice(0, statuses.length), statuses)
  })
}

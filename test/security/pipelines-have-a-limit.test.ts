// Requests that are sent without waiting for their answers: thousands fit in one read, and none is answered before all are parsed.
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { answersIn, ask, link, startGateway, startUpstream } from '../stage.ts'

const upstream = await startUpstream(t)

t.test('so many wait for their answers, and what sends more is cut', async (t) => {
  for (const rate of ['30/1m', '1000000/1m']) {
    const gateway = await startGateway(t, upstream.origin, { RATE_LIMIT: rate })
    const client = connect(gateway.port, '127.0.0.1')
    client.on('error', () => {})
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(20_000))
    await new Promise((resolve) => client.resume().once('close', resolve))
    t.equal((await ask(gateway.origin, link())).status, 200, 'others are answered')
    const lines = gateway.lines.filter(({ decision }) => decision === 'deny')
    t.equal(lines.length, 65, `${rate}: no more were looked at`)
    const why = lines.filter(({ reason }) => reason === 'request-malformed')
    // Past its rate each line says that.
    t.equal(why.length, rate === '30/1m' ? 0 : 1, 'and one line says why')
  }
})

t.test('few are answered in their order', async (t) => {
  const gateway = await startGateway(t, upstream.origin)
  const client = connect(gateway.port, '127.0.0.1')
  const paths = Array.from({ length: 64 }, (_, i) => link({}, `/${i}`))
  const last = paths.length - 1
  client.write(
    paths
      .map(
        (path, i) =>
          `GET ${path} HTTP/1.1\r\nHost: a\r\n${i === last ? 'Connection: close\r\n' : ''}\r\n`,
      )
      .join(''),
  )
  const answers = answersIn(await text(client))
  t.equal(answers.length, paths.length)
  for (const { status } of answers) t.equal(status, 200)
})

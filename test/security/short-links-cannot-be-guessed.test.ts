// A short link is found by nobody who was not given it, and leads nowhere but to the gateway.
import t from 'tap'
import { byIds, call, led, navigation, shorten, startLinks } from '../links/stage.ts'
import { ask } from '../stage.ts'

const gateway = 'https://gateway.example'

t.test('ids are 128 random bits', async (t) => {
  const { origin } = await startLinks(t, gateway)
  const all = await Promise.all(Array.from({ length: 64 }, () => shorten(origin)))
  const bytes = all.map((path) => Buffer.from(path.slice('/o/'.length), 'base64url'))
  t.equal(new Set(all).size, 64)
  t.same(new Set(bytes.map(({ length }) => length)), new Set([16]))
  t.ok(
    bytes.every((one) => new Set(one).size > 8),
    'of sixteen bytes, not of one',
  )
  for (let i = 0; i < 16; i += 1) {
    t.ok(new Set(bytes.map((one) => one[i])).size > 32, `byte ${i} is not counted up`)
  }
})

t.test('who guesses is told less and less, and agents beside them are led on', async (t) => {
  const { origin, told } = await startLinks(t, gateway, { RATE_LIMIT: '5/1h' })
  const path = await shorten(origin, { short: { uses: 2 } })
  const guess = (i: number) => ask(origin, `/o/${String(i).padStart(21, 'x')}A`)
  for (let i = 0; i < 5; i += 1) t.equal((await guess(i)).status, 404)
  const { status, headers } = await guess(6)
  t.equal(status, 429)
  t.match(headers['retry-after'], /^\d+$/)
  t.equal((await ask(origin, path)).status, 303, 'at the same address')
  t.equal((await call(origin, '/links', byIds, { headers: {} })).status, 429, 'secrets alike')
  t.equal((await call(origin, '/links', byIds)).status, 200, 'what is right is answered')
  const reasons = (await told(10)).map(({ reason }) => reason ?? '')
  const guesses = [...Array(5).fill('link-unknown'), 'rate-limited']
  t.same(reasons, ['', ...guesses, '', 'rate-limited', ''])
})

t.test('unknown, malformed, used and foreign ones are answered alike', async (t) => {
  const { origin } = await startLinks(t, gateway)
  const used = await shorten(origin)
  await ask(origin, used)
  const live = (await shorten(origin)).slice('/o/'.length)
  const last = live.slice(-1)
  // Base64 has four last characters for the same bits.
  const alias = { A: 'B', Q: 'R', g: 'h', w: 'x' }[last] ?? 'B'
  const answers = new Set<string>()
  for (const path of [
    used,
    `/o/${'A'.repeat(22)}`,
    `/o/${live.slice(0, -1)}${alias}`,
    `/o/${live}A`,
    `/o/${live}=`,
    `/o/${live}%00`,
    `/o/${live.slice(0, -1)}`,
    `/o/${live.toLowerCase()}${live.toLowerCase() === live ? 'a' : ''}`,
    `/o/${encodeURIComponent('https://stranger.example')}`,
    '/o/..%2F..%2F',
    `/o/${'x'.repeat(200)}`,
  ]) {
    const { status, headers, body } = await ask(origin, path, { headers: navigation })
    t.equal(headers.location, undefined, path)
    const id = String(headers['x-request-id'])
    const { date, 'x-request-id': _, ...rest } = headers
    t.ok(date)
    answers.add(JSON.stringify([status, rest, body.replaceAll(id, '')]))
  }
  t.equal(answers.size, 1)
  t.equal((await ask(origin, `/o/${live}`)).status, 303, 'nothing of it used the live one up')
})

t.test('it leads to the gateway, whatever was asked for', async (t) => {
  const { origin } = await startLinks(t, gateway)
  const evil = 'https://stranger.example'
  const query = 'userId=7&sessionId=8&URLToken=f38791ae'
  for (const body of [
    { url: `${evil}/?${query}` },
    { url: `${evil}/?${query}&redirect=${evil}` },
    { url: `https://gateway.example@stranger.example/?${query}`, short: { uses: 1 } },
    { uui: `${evil}/?${query}` },
    { ...byIds, userId: `${evil}/`, sessionId: `//${evil}` },
    { ...byIds, userId: '\r\nLocation: https://stranger.example', sessionId: '\\\\stranger' },
  ]) {
    const path = await shorten(origin, {
      ...Object.fromEntries(Object.keys(byIds).map((key) => [key, undefined])),
      ...body,
    })
    const target = `${path}?next=${evil}`
    const headers = {
      ...navigation,
      Host: new URL(evil).host,
      'X-Forwarded-Host': 'stranger.example',
    }
    const { status, headers: answered, rawHeaders } = await ask(origin, target, { headers })
    t.equal(status, 303)
    t.equal(led(answered.location).origin, gateway)
    t.match(answered.location, /^https:\/\/gateway\.example\/\?userId=/)
    t.equal(rawHeaders.filter((name) => name.toLowerCase() === 'location').length, 1)
  }
})

t.test('nothing of a link is in the log', async (t) => {
  const { origin, log, told } = await startLinks(t, gateway)
  const conversation = 'canary-conversation'
  const put = `/links/by-conversation/${conversation}`
  await call(origin, put, byIds, { method: 'PUT' })
  const { body } = await call(origin, put, undefined)
  const path = await shorten(origin)
  await ask(origin, `${path}?canary-query`, { headers: { Referer: 'https://canary.example/?a=b' } })
  await call(origin, '/links', { 'canary-field': 1 })
  await call(origin, '/links', '{"canary-body"')
  await ask(origin, `/canary-path%zz?${path}`)
  await ask(origin, '/links', { headers: { Authorization: 'Basic canary+password' } })
  await told(8)
  for (const word of [
    'canary',
    'eyJ',
    byIds.urlToken,
    path.slice(3),
    new URL(JSON.parse(body).url).search,
  ]) {
    t.notMatch(log(), word)
  }
})

import t from 'tap'
import { closeFrame, FrameWalker } from '../../src/forward/frames.ts'

type Frame = readonly [first: number, length: number]

const mask = Buffer.from([1, 2, 3, 4])

/** A frame (RFC 6455 §5.2), its length written in 7, 16 or 64 bits; the payload is all 0x81. */
function frame(first: number, length: number, masked: boolean, bits = shortest(length)): Buffer {
  const bit = masked ? 0x80 : 0
  const head = Buffer.alloc(bits === 7 ? 2 : bits === 16 ? 4 : 10)
  head[0] = first
  head[1] = bit | (bits === 7 ? length : bits === 16 ? 126 : 127)
  if (bits === 16) head.writeUInt16BE(length, 2)
  if (bits === 64) head.writeBigUInt64BE(BigInt(length), 2)
  return Buffer.concat([head, masked ? mask : Buffer.alloc(0), Buffer.alloc(length, 0x81)])
}

function shortest(length: number): number {
  return length < 126 ? 7 : length < 2 ** 16 ? 16 : 64
}

/** Walks the chunks to their end; what was seen, and whether it ended with a whole frame. */
function walked(chunks: readonly Buffer[]): { frames: Frame[]; atBoundary: boolean } {
  const frames: Frame[] = []
  const walker = new FrameWalker((first, length) => frames.push([first, length]))
  for (const chunk of chunks) {
    let at = 0
    while (at < chunk.length) {
      const next = walker.walk(chunk, at)
      if (next <= at || next > chunk.length) throw new Error(`walked from ${at} to ${next}`)
      at = next
    }
  }
  return { frames, atBoundary: walker.atBoundary }
}

const lengths = [0, 1, 2, 4, 125, 126, 127, 128, 254, 255, 256, 65_535, 65_536, 65_537]

t.test('a frame of any length is seen once, with its first byte and length', (t) => {
  for (const masked of [true, false]) {
    for (const length of lengths) {
      for (const first of [0x81, 0x82, 0x01, 0x00, 0x80, 0xc1, 0xf1]) {
        const seen = walked([frame(first, length, masked)])
        t.strictSame(seen, { frames: [[first, length]], atBoundary: true }, `${first} ${length}`)
      }
    }
    for (const first of [0x88, 0x89, 0x8a]) {
      const seen = walked([frame(first, 125, masked), frame(first, 0, masked)])
      const frames = [
        [first, 125],
        [first, 0],
      ]
      t.strictSame(seen, { frames, atBoundary: true }, `control ${first}`)
    }
    for (const [length, bits] of [
      [0, 16],
      [0, 64],
      [125, 16],
      [125, 64],
      [65_535, 64],
    ] as const) {
      const seen = walked([frame(0x82, length, masked, bits)])
      t.strictSame(seen.frames, [[0x82, length]], `${length} in ${bits} bits`)
    }
  }
  t.end()
})

t.test('however the bytes are cut, the frames are the same', (t) => {
  const parts = [
    frame(0x01, 3, true),
    frame(0x89, 0, true),
    frame(0x00, 126, true),
    frame(0x8a, 4, false),
    frame(0x80, 0, false),
    frame(0x82, 300, true, 64),
    frame(0x88, 2, true),
  ]
  const stream = Buffer.concat(parts)
  const whole = walked([stream])
  t.strictSame(whole, {
    frames: [
      [0x01, 3],
      [0x89, 0],
      [0x00, 126],
      [0x8a, 4],
      [0x80, 0],
      [0x82, 300],
      [0x88, 2],
    ],
    atBoundary: true,
  })
  for (let at = 0; at <= stream.length; at += 1) {
    const seen = walked([stream.subarray(0, at), stream.subarray(at)])
    if (JSON.stringify(seen) !== JSON.stringify(whole)) t.fail(`cut at ${at}`)
  }
  for (const size of [1, 2, 3, 5, 7, 13, 64]) {
    const chunks: Buffer[] = []
    for (let at = 0; at < stream.length; at += size) chunks.push(stream.subarray(at, at + size))
    t.strictSame(walked(chunks), whole, `in chunks of ${size}`)
  }
  t.strictSame(walked([Buffer.alloc(0), stream, Buffer.alloc(0)]), whole, 'empty chunks')

  const ends = new Set<number>([0])
  for (const part of parts) ends.add([...ends].reduce((a, b) => Math.max(a, b)) + part.length)
  for (let at = 0; at <= stream.length; at += 1) {
    const { atBoundary } = walked([stream.subarray(0, at)])
    if (atBoundary !== ends.has(at)) t.fail(`${at} of ${stream.length} is ${atBoundary}`)
  }
  t.end()
})

t.test('a walk stops where each frame ends', (t) => {
  const parts = [frame(0x81, 5, true), frame(0x89, 0, true), frame(0x82, 200, false)]
  const stream = Buffer.concat(parts)
  const walker = new FrameWalker(() => {})
  t.equal(walker.atBoundary, true, 'before the first')
  t.equal(walker.walk(stream, 0), 11)
  t.equal(walker.atBoundary, true)
  t.equal(walker.walk(stream, 11), 17)
  t.equal(walker.atBoundary, true, 'after a frame without payload')
  t.equal(walker.walk(stream.subarray(0, 19), 17), 19)
  t.equal(walker.atBoundary, false, 'within a header')
  t.equal(walker.walk(stream.subarray(0, 21), 19), 21)
  t.equal(walker.atBoundary, false, 'between header and payload')
  t.equal(walker.walk(stream, 21), stream.length)
  t.equal(walker.atBoundary, true)
  t.end()
})

t.test('a length is known before its payload comes', (t) => {
  const huge: readonly (readonly [string, bigint, number])[] = [
    ['4 GiB', 2n ** 32n, 2 ** 32],
    ['the largest exact number', 2n ** 53n - 1n, 2 ** 53 - 1],
    ['the largest that RFC 6455 allows', 2n ** 63n - 1n, 2 ** 63],
    ['one it does not', 2n ** 64n - 1n, 2 ** 64],
  ]
  for (const [name, length, expected] of huge) {
    const head = Buffer.alloc(14)
    head[0] = 0x82
    head[1] = 0xff
    head.writeBigUInt64BE(length, 2)
    t.strictSame(walked([head]), { frames: [[0x82, expected]], atBoundary: false }, name)
    const more = walked([head, Buffer.alloc(1000, 0x81)])
    t.strictSame(more, { frames: [[0x82, expected]], atBoundary: false }, `${name}, and payload`)
  }
  t.end()
})

t.test('a close frame is one whole frame, masked where a client sends it', (t) => {
  const rows: readonly (readonly [number, string])[] = [
    [1008, 'session-expired'],
    [1008, 'session-revoked'],
    [1008, 'session-mismatch'],
    [1009, ''],
    [1012, 'drain'],
    [1002, 'ü'],
    [4999, 'x'.repeat(123)],
  ]
  for (const [code, reason] of rows) {
    const name = `${code} ${reason.slice(0, 20)}`
    const payload = Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)])
    const plain = closeFrame(code, reason, false)
    t.strictSame(plain, Buffer.concat([Buffer.from([0x88, payload.length]), payload]), name)
    const masked = closeFrame(code, reason, true)
    t.strictSame([...masked.subarray(0, 2)], [0x88, 0x80 | payload.length], `${name}, masked`)
    const key = masked.subarray(2, 6)
    const unmasked = masked.subarray(6).map((byte, i) => byte ^ (key[i % 4] ?? 0))
    t.strictSame(Buffer.from(unmasked), payload, `${name}, unmasked`)
    for (const bytes of [plain, masked]) {
      const expected = { frames: [[0x88, payload.length]], atBoundary: true }
      t.strictSame(walked([bytes]), expected, `${name}: one frame`)
    }
  }
  const masks = Array.from({ length: 8 }, () => closeFrame(1012, '', true).readUInt32BE(2))
  t.ok(new Set(masks).size > 1, 'each mask is fresh (RFC 6455 §5.3)')
  t.end()
})

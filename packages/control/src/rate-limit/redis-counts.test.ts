import assert from 'node:assert/strict'
import { createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { silentLogger } from '@weft/base'
import { eventually, FakeClock } from '@weft/testkit'
import { RedisCounts, redisKey } from './redis-counts.ts'

const BUCKET = { maxTokens: 2, tokensPerFill: 2, fillIntervalMs: 1_000 }
const DRAW = [{ key: 'a', bucket: BUCKET, hits: 1 }]

/** Speaks enough of RESP to be taken for a Redis, and answers scripts with `answer`. */
async function almostRedis(t: TestContext, answer: string | undefined) {
  const scripts: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (bytes: Buffer) => {
      const text = bytes.toString()
      const asked = (text.match(/^\*\d+\r$/gm) ?? []).length
      for (const name of text.match(/\b(EVALSHA|EVAL)\b/g) ?? []) scripts.push(name)
      if (!/EVAL/.test(text)) {
        socket.write(
          (text.includes('HELLO') ? '%0\r\n' : '') +
            '+OK\r\n'.repeat(asked - (text.includes('HELLO') ? 1 : 0)),
        )
      } else if (answer !== undefined) socket.write(answer)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  return { url: `redis://127.0.0.1:${port}`, scripts }
}

async function open(t: TestContext, url: string) {
  const clock = new FakeClock()
  const seen = { failures: 0 }
  const onFailure = () => {
    seen.failures++
  }
  const counts = await RedisCounts.open({ url }, { clock, log: silentLogger, onFailure })
  t.after(() => counts.close())
  return { counts, clock, seen }
}

test('without a Redis this process counts, and says so', async (t) => {
  const { counts, seen } = await open(t, 'redis://127.0.0.1:1')
  assert.equal((await counts.draw(DRAW, 0))[0]?.overLimit, false)
  assert.equal((await counts.draw(DRAW, 0))[0]?.overLimit, false)
  assert.equal((await counts.draw(DRAW, 0))[0]?.overLimit, true)
  await counts.giveBack(DRAW, 0)
  assert.equal((await counts.draw(DRAW, 0))[0]?.overLimit, false)
  assert.deepEqual([counts.isUp, seen.failures], [false, 5])
})

test('a Redis that does not answer is not waited for twice', async (t) => {
  const { url, scripts } = await almostRedis(t, undefined)
  const { counts, clock, seen } = await open(t, url)
  await eventually(() => assert.equal(counts.isUp, true))
  const asked = counts.draw(DRAW, 0)
  await eventually(() => assert.equal(scripts.length, 1))
  await clock.advance(200)
  assert.equal((await asked)[0]?.remaining, 1)
  assert.deepEqual([counts.isUp, seen.failures], [false, 1])
  assert.equal((await counts.draw(DRAW, 0))[0]?.remaining, 0)
  assert.equal(scripts.length, 1)
})

for (const [what, answer] of [
  ['an error', '-ERR no\r\n'],
  ['something else', '+OK\r\n'],
] as const) {
  test(`a Redis that answers with ${what} is one that does not answer`, async (t) => {
    const { url } = await almostRedis(t, answer)
    const { counts, seen } = await open(t, url)
    await eventually(() => assert.equal(counts.isUp, true))
    assert.equal((await counts.draw(DRAW, 0))[0]?.remaining, 1)
    assert.equal(seen.failures, 1)
  })
}

test('what is no URL of a Redis is refused at once', async () => {
  const deps = { clock: new FakeClock(), log: silentLogger, onFailure() {} }
  await assert.rejects(RedisCounts.open({ url: 'http://localhost' }, deps), TypeError)
})

test('buckets of one domain are in one slot; values do not show in their names', () => {
  const key = redisKey('weft.io/default/shop', 'alice@example.com')
  assert.match(key, /^weft:rate-limit:\{weft\.io\/default\/shop\}:[\w-]{43}$/)
})

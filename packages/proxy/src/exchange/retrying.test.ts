import assert from 'node:assert/strict'
import { createServer, type Socket } from 'node:net'
import { afterEach, describe, test } from 'node:test'
import { NO_LIMITS, type RetryPolicy, SAFE_RETRY } from '@weft/model'
import { ask, deadPort, hop, Opened, serve } from './scripted-chain.ts'

const opened = new Opened()
afterEach(() => opened.close())

const ON_5XX: RetryPolicy = {
  ...SAFE_RETRY,
  on: ['5xx'],
  attempts: 2,
  backoffBaseMs: 1,
  backoffMaxMs: 2,
}
const retrying = (retry: Partial<RetryPolicy> = {}) => ({
  action: { retry: { ...ON_5XX, ...retry } } as never,
})

describe('what no upstream has seen', () => {
  test('costs nobody an error: one of two endpoints is dead, a hundred requests at once (F1)', async () => {
    const alive = await serve(opened, (request, answer) => {
      request.resume().on('end', () => setTimeout(() => answer.end('ok'), 20))
    })
    const proxy = await hop(opened, [await deadPort(), alive])
    const calls = Array.from({ length: 100 }, (_, i) =>
      ask(proxy.port, i % 2 === 0 ? {} : { method: 'POST', body: 'once' }),
    )
    const answers = await Promise.all(calls)
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200])
    assert.ok(proxy.ended.some(({ attempts }) => attempts === 2))
  })

  test('is not counted against maxRetries either', async () => {
    const alive = await serve(opened, (_request, answer) => setTimeout(() => answer.end('ok'), 20))
    const limits = { ...NO_LIMITS, maxRetries: 1 }
    const proxy = await hop(opened, [await deadPort(), alive], { cluster: { limits } })
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(proxy.port)))
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200])
  })
})

describe('limits', () => {
  test('more retries at once than allowed: the answer goes on, with flag UO', async () => {
    let waiting: (() => void)[] = []
    const app = await serve(opened, (request, answer) => {
      const again = request.headers['x-envoy-attempt-count'] !== '1'
      const end = () => answer.writeHead(503).end()
      if (!again) waiting.push(end)
      else setTimeout(end, 30)
      if (waiting.length < 4) return
      for (const each of waiting) each()
      waiting = []
    })
    const limits = { ...NO_LIMITS, maxRetries: 1 }
    const proxy = await hop(opened, [app], { ...retrying({ attempts: 1 }), cluster: { limits } })
    const answers = await Promise.all(Array.from({ length: 4 }, () => ask(proxy.port)))
    assert.deepEqual(
      answers.map(({ status }) => status),
      [503, 503, 503, 503],
    )
    const flags = proxy.ended.map(({ responseFlags }) => responseFlags).sort()
    assert.deepEqual(flags, ['UO', 'UO', 'UO', 'URX'])
  })

  test('the caller asks for retries and for how many; the next hop does not hear of it', async () => {
    const seen: unknown[] = []
    const app = await serve(opened, (request, answer) => {
      seen.push(request.headers['x-envoy-max-retries'] ?? request.headers['x-envoy-retry-on'])
      answer.writeHead(503).end()
    })
    const proxy = await hop(opened, [app])
    const headers = { 'x-envoy-retry-on': '5xx', 'x-envoy-max-retries': '3' }
    assert.equal((await ask(proxy.port, { headers })).status, 503)
    assert.deepEqual(seen, [undefined, undefined, undefined, undefined])
    const outside = await hop(opened, [app], { manager: { useRemoteAddress: true } })
    await ask(outside.port, { headers })
    assert.equal(seen.length, 5)
  })

  test('an answer that names a time is not asked again before it', async () => {
    const times: number[] = []
    const app = await serve(opened, (_request, answer) => {
      times.push(performance.now())
      answer.writeHead(times.length === 1 ? 503 : 200, { 'retry-after': '1' }).end()
    })
    const resetBackoff = {
      headers: [{ name: 'retry-after', format: 'seconds' }],
      maxMs: 5_000,
    } as const
    const proxy = await hop(opened, [app], retrying({ resetBackoff }))
    assert.equal((await ask(proxy.port)).status, 200)
    const waitedMs = (times[1] ?? 0) - (times[0] ?? 0)
    assert.ok(waitedMs >= 990 && waitedMs < 1_900, `waited ${waitedMs} ms`)
  })

  test('the limit of a try does not end the pause behind it', async () => {
    const times: number[] = []
    const app = await serve(opened, (_request, answer) => {
      times.push(performance.now())
      answer.writeHead(times.length === 1 ? 503 : 200, { 'retry-after': '1' }).end()
    })
    const resetBackoff = {
      headers: [{ name: 'retry-after', format: 'seconds' }],
      maxMs: 5_000,
    } as const
    const proxy = await hop(opened, [app], retrying({ perTryTimeoutMs: 50, resetBackoff }))
    assert.equal((await ask(proxy.port)).status, 200)
    const waitedMs = (times[1] ?? 0) - (times[0] ?? 0)
    assert.ok(waitedMs >= 990, `waited ${waitedMs} ms`)
  })

  test('a field of the answer can ask for a retry', async () => {
    let calls = 0
    const app = await serve(opened, (_request, answer) => {
      answer.writeHead(200, ++calls === 1 ? { 'x-again': 'yes' } : {}).end()
    })
    const proxy = await hop(opened, [app])
    const headers = {
      'x-envoy-retry-on': 'retriable-headers',
      'x-envoy-retriable-header-names': 'x-again',
    }
    assert.equal((await ask(proxy.port, { headers })).status, 200)
    assert.equal(calls, 2)
  })
})

describe('a POST on a connection that its upstream closed without notice', () => {
  test('arrives, and arrives once', async () => {
    const bodies: string[] = []
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('data', (bytes) => {
        bodies.push(bytes.toString('latin1').split('\r\n\r\n')[1] ?? '')
        // Says nothing of closing, and closes.
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', () => socket.destroy())
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    opened.add(() => server.close())
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const proxy = await hop(opened, [port])
    for (let i = 0; i < 50; i++) {
      const { status } = await ask(proxy.port, { method: 'POST', body: `pay ${i}` })
      assert.equal(status, 200)
    }
    assert.deepEqual(
      bodies,
      Array.from({ length: 50 }, (_, i) => `pay ${i}`),
    )
  })
})

describe('a chain of hops that each may retry (features.md, F8)', () => {
  async function chain(answer: () => number, length: number) {
    let calls = 0
    let port = await serve(opened, (_request, reply) => {
      calls++
      reply.writeHead(answer()).end()
    })
    const hops = []
    for (let i = 0; i < length; i++) {
      const next = await hop(opened, [port], retrying())
      hops.unshift(next)
      port = next.port
    }
    return { port, hops, calls: () => calls }
  }

  test('only the first one does: three attempts at the leaf, not twenty-seven', async () => {
    const { port, hops, calls } = await chain(() => 503, 3)
    assert.equal((await ask(port)).status, 503)
    assert.equal(calls(), 3)
    assert.deepEqual(
      hops.map(({ ended }) => ended.map(({ attempts }) => attempts)),
      [[3], [1, 1, 1], [1, 1, 1]],
    )
  })

  test('a token from outside does not count, and ours takes its place', async () => {
    let tokens: unknown[] = []
    const app = await serve(opened, (request, answer) => {
      tokens.push(request.headers['x-weft-retry-token'])
      answer.writeHead(503).end()
    })
    const gateway = await hop(opened, [app], {
      ...retrying(),
      manager: { useRemoteAddress: true },
    })
    await ask(gateway.port, { headers: { 'x-weft-retry-token': 'held' } })
    assert.deepEqual(tokens, ['held', 'held', 'held'])
    tokens = []
    const plain = await hop(opened, [app])
    await ask(plain.port)
    assert.deepEqual(tokens, [undefined])
  })

  test('a hop behind the first one still repeats what no upstream has seen', async () => {
    const app = await serve(opened, (_request, answer) => answer.end('ok'))
    const inner = await hop(opened, [await deadPort(), app], retrying())
    const outer = await hop(opened, [inner.port], retrying())
    for (let i = 0; i < 10; i++) assert.equal((await ask(outer.port)).status, 200)
    assert.ok(outer.ended.every(({ attempts }) => attempts === 1))
  })

  test('deadlines shrink from hop to hop, and the inner one keeps to the outer one', async () => {
    const told: number[] = []
    const app = await serve(opened, (request) => {
      told.push(Number(request.headers['x-envoy-expected-rq-timeout-ms']))
    })
    const inner = await hop(opened, [app], { action: { timeoutMs: 60_000 } as never })
    const outer = await hop(opened, [inner.port], { action: { timeoutMs: 300 } as never })
    assert.equal((await ask(outer.port)).status, 504)
    assert.ok(told[0] !== undefined && told[0] <= 300, `told ${told[0]}`)
  })
})

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, test } from 'node:test'
import { type HedgePolicy, NO_LIMITS, type RouteAction, SAFE_RETRY } from '@weft/model'
import { ask, hop, Opened, serve } from './scripted-chain.ts'

const opened = new Opened()
afterEach(() => opened.close())

const hedged = (hedge: HedgePolicy, more: Partial<RouteAction> = {}) => ({
  action: { hedge, ...more } as never,
})
const SOON = { afterMs: 20, maxAttempts: 2 } as const

describe('a hedged request', () => {
  test('is asked elsewhere after the delay; the first answer counts, the other one is cancelled', async () => {
    let calls = 0
    const cancelled = Promise.withResolvers<void>()
    const app = await serve(opened, (request, answer) => {
      if (++calls > 1) answer.end(`attempt ${request.headers['x-envoy-attempt-count']}`)
      else request.socket.on('close', () => cancelled.resolve())
    })
    const proxy = await hop(opened, [app], hedged(SOON))
    const { status, body } = await ask(proxy.port)
    assert.deepEqual([status, body], [200, 'attempt 2'])
    await cancelled.promise
    const expected = { status: 200, responseFlags: '-', attempts: 2 }
    assert.deepEqual(proxy.ended, [{ ...expected, hedges: { launched: 1, won: true } }])
  })

  test('whose first attempt answers in the end loses nothing, and the second one is cancelled', async () => {
    const cancelled = Promise.withResolvers<void>()
    let first: (() => void) | undefined
    const app = await serve(opened, (request, answer) => {
      if (first === undefined) first = () => answer.end('first')
      else {
        request.socket.on('close', () => cancelled.resolve())
        first()
      }
    })
    const proxy = await hop(opened, [app], hedged(SOON))
    assert.equal((await ask(proxy.port)).body, 'first')
    await cancelled.promise
    assert.deepEqual(proxy.ended[0]?.hedges, { launched: 1, won: false })
  })

  test('takes the good answer, even if it is the later one', async () => {
    let calls = 0
    const app = await serve(opened, (_request, answer) => {
      if (++calls === 1) setTimeout(() => answer.end('good'), 60)
      else answer.writeHead(503).end('bad')
    })
    const proxy = await hop(opened, [app], hedged(SOON))
    assert.deepEqual((await ask(proxy.port)).body, 'good')
    assert.equal(calls, 2)
  })

  test('fails when all attempts did, with the last answer', async () => {
    let calls = 0
    const app = await serve(opened, (_request, answer) => {
      const body = `bad ${++calls}`
      setTimeout(() => answer.writeHead(503).end(body), 60)
    })
    const proxy = await hop(opened, [app], hedged(SOON))
    const { status, body } = await ask(proxy.port)
    assert.deepEqual([status, body], [503, 'bad 2'])
  })

  test('goes on when the first attempt is lost', async () => {
    let calls = 0
    const app = await serve(opened, (request, answer) => {
      if (++calls === 1) setTimeout(() => request.socket.destroy(), 50)
      else setTimeout(() => answer.end('second'), 80)
    })
    const proxy = await hop(opened, [app], hedged(SOON))
    assert.equal((await ask(proxy.port)).body, 'second')
  })

  test('carries its body again', async () => {
    const bodies: string[] = []
    const app = await serve(opened, (request, answer) => {
      let body = ''
      request.on('data', (part) => {
        body += String(part)
      })
      request.on('end', () => {
        bodies.push(body)
        if (bodies.length > 1) answer.end()
      })
    })
    const proxy = await hop(opened, [app], hedged(SOON))
    await ask(proxy.port, { method: 'PUT', body: 'twice' })
    assert.deepEqual(bodies, ['twice', 'twice'])
  })

  test('is never a POST that did not opt in', async () => {
    let calls = 0
    const app = await serve(opened, (_request, answer) => {
      calls++
      setTimeout(() => answer.end('once'), 80)
    })
    const proxy = await hop(opened, [app], hedged(SOON))
    await ask(proxy.port, { method: 'POST', body: 'pay' })
    assert.equal(calls, 1)
    const headers = { 'idempotency-key': '7' }
    await ask(proxy.port, { method: 'POST', body: 'pay', headers })
    assert.equal(calls, 3)
  })

  test('counts in the retry budget', async () => {
    let calls = 0
    const app = await serve(opened, (_request, answer) => {
      calls++
      setTimeout(() => answer.end(), 80)
    })
    const limits = { ...NO_LIMITS, maxRetries: 0 }
    const proxy = await hop(opened, [app], { ...hedged(SOON), cluster: { limits } })
    assert.equal((await ask(proxy.port)).status, 200)
    assert.equal(calls, 1)
    assert.equal(proxy.ended[0]?.responseFlags, 'UO')
  })

  test("without a delay it begins when a try's time is over, and the try goes on (Envoy)", async () => {
    const answers: (() => void)[] = []
    const app = await serve(opened, (_request, answer) => {
      const name = answers.length === 0 ? 'first' : 'second'
      answers.push(() => answer.end(name))
      if (answers.length === 2) answers[0]?.()
    })
    const retry = { ...SAFE_RETRY, on: ['5xx'], perTryTimeoutMs: 40 } as const
    const proxy = await hop(opened, [app], hedged({ maxAttempts: 2 }, { retry } as never))
    assert.equal((await ask(proxy.port)).body, 'first')
    assert.equal(answers.length, 2)
  })

  test("learns the delay from the cluster's own latency", async () => {
    let calls = 0
    const app = await serve(opened, (_request, answer) => {
      if (++calls !== 61) answer.end()
    })
    const policy = { afterPercentile: 95, maxAttempts: 2 } as const
    const proxy = await hop(opened, [app], hedged(policy))
    for (let i = 0; i < 61; i++) assert.equal((await ask(proxy.port)).status, 200)
    assert.equal(calls >= 62, true)
  })

  test('over HTTP/2 resets the stream that lost, and only that', async () => {
    const lost = Promise.withResolvers<number>()
    let streams = 0
    const server = createHttp2Server()
    server.on('stream', (stream: ServerHttp2Stream) => {
      stream.on('error', () => undefined)
      if (++streams === 1) stream.on('close', () => lost.resolve(stream.rstCode))
      else {
        stream.respond({ ':status': 200, 'content-type': 'text/plain' }, { waitForTrailers: true })
        stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': 'yes' }))
        stream.end('h2')
      }
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    opened.add(() => server.close())
    const { port } = server.address() as AddressInfo
    const http = {
      protocol: 'http2',
      idleTimeoutMs: 0,
      maxRequestsPerConnection: 0,
      maxConcurrentStreams: 0,
    } as const
    const proxy = await hop(opened, [port], { ...hedged(SOON), cluster: { http } })
    const { status, body, headers } = await ask(proxy.port)
    assert.deepEqual([status, body, headers['content-type']], [200, 'h2', 'text/plain'])
    assert.equal(await lost.promise, 8)
    assert.equal((await ask(proxy.port)).status, 200)
  })
})

describe('a request from inside the mesh may ask for', () => {
  /** One that never answers, then one that does. */
  async function slowThenGood() {
    let calls = 0
    const port = await serve(opened, (request, answer) => {
      if (++calls > 1) answer.end(JSON.stringify(request.headers))
    })
    return port
  }
  const retry = { ...SAFE_RETRY, attempts: 1, perTryTimeoutMs: 30 }
  const HEDGE = 'x-envoy-hedge-on-per-try-timeout'

  test('a hedge when a try’s time is over, where no route has one', async () => {
    const proxy = await hop(opened, [await slowThenGood()], { action: { retry } as never })
    const { status, body } = await ask(proxy.port, { headers: { [HEDGE]: 'true' } })
    assert.equal(status, 200)
    assert.equal(body.includes(HEDGE), false, 'the wish was for this hop')
    assert.deepEqual(proxy.ended[0]?.hedges, { launched: 1, won: true })
  })

  test('no hedge, where the route has one', async () => {
    const proxy = await hop(
      opened,
      [await slowThenGood()],
      hedged({ maxAttempts: 2 }, { retry: { ...retry, attempts: 0 } }),
    )
    const { status } = await ask(proxy.port, { headers: { [HEDGE]: 'false' } })
    assert.equal(status, 504)
    assert.equal(proxy.ended[0]?.hedges, undefined)
  })

  test('nothing of that from outside', async () => {
    const proxy = await hop(opened, [await slowThenGood()], {
      action: { retry: { ...retry, attempts: 0 } } as never,
      manager: { useRemoteAddress: true },
    })
    const headers = { [HEDGE]: 'true', 'x-envoy-upstream-rq-timeout-alt-response': '1' }
    assert.equal((await ask(proxy.port, { headers })).status, 504)
    assert.equal(proxy.ended[0]?.hedges, undefined)
  })

  test('204 in place of 504', async () => {
    const proxy = await hop(opened, [await slowThenGood()], { action: { timeoutMs: 30 } as never })
    const headers = { 'x-envoy-upstream-rq-timeout-alt-response': '1' }
    const { status, body } = await ask(proxy.port, { headers })
    assert.deepEqual([status, body], [204, ''])
    assert.equal(proxy.ended[0]?.responseFlags, 'UT')
  })

  test('a longest time of the stream, or none', async () => {
    const proxy = await hop(opened, [await slowThenGood()], {
      action: { maxStreamDurationMs: 60_000 } as never,
    })
    const field = 'x-envoy-upstream-stream-duration-ms'
    assert.equal((await ask(proxy.port, { headers: { [field]: '30' } })).status, 504)
    assert.equal(proxy.ended[0]?.responseFlags, 'DT')
    const late = await serve(opened, (_request, answer) => {
      setTimeout(() => answer.end('late'), 150)
    })
    const limited = await hop(opened, [late], { action: { maxStreamDurationMs: 40 } as never })
    assert.equal((await ask(limited.port, { headers: { [field]: '0' } })).status, 200)
  })
})

import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { afterEach, describe, test } from 'node:test'
import type { HttpConnectionManager } from '@weft/model'
import { ask, hop, Opened, serve } from './scripted-chain.ts'

const opened = new Opened()
afterEach(() => opened.close())

/** Sends `text` as it is; resolves with what came until `seen` or the end. */
function raw(port: number, text: string, seen?: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' })
    opened.add(() => socket.destroy())
    let all = ''
    socket.on('data', (bytes) => {
      all += bytes.toString('latin1')
      if (seen?.test(all) === true) resolve(all)
    })
    socket.on('end', () => resolve(all))
    socket.on('error', reject)
    socket.write(text, 'latin1')
  })
}

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n'

async function listener(manager: Partial<HttpConnectionManager>, more = {}) {
  const seen: { readonly names: string[]; readonly headers: Record<string, unknown> }[] = []
  const app = await serve(opened, (request, answer) => {
    const names = request.rawHeaders.filter((_, i) => i % 2 === 0)
    seen.push({ names, headers: request.headers })
    answer.writeHead(200, { server: 'app', 'X-My-Field': '1', 'Content-Length': '2' }).end('ok')
  })
  return { ...(await hop(opened, [app], { manager, ...more })), seen }
}

describe('a listener’s limits', () => {
  test('a request body that takes too long is 408', async () => {
    const app = await serve(opened, (request, answer) => {
      request.resume().on('end', () => answer.end())
    })
    const { port, ended } = await hop(opened, [app], { manager: { requestTimeoutMs: 100 } })
    const answer = await raw(port, `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf`)
    assert.match(answer, /^HTTP\/1\.1 408 /)
    assert.equal(ended[0]?.responseFlags, 'DPE')
  })

  test('a request that is complete is not cut by it', async () => {
    const app = await serve(opened, (_request, answer) => setTimeout(() => answer.end('ok'), 350))
    const { port } = await hop(opened, [app], { manager: { requestTimeoutMs: 100 } })
    assert.equal((await ask(port, { method: 'POST', body: 'all' })).status, 200)
  })

  test('a stream ends after the longest time, also one that is being answered', async () => {
    const app = await serve(opened, (_request, answer) => {
      answer.write('beginning')
    })
    const { port, ended } = await hop(opened, [app], { manager: { maxStreamDurationMs: 100 } })
    await assert.rejects(ask(port))
    assert.equal(ended[0]?.responseFlags, 'DT')
  })

  test('a route has its own longest time', async () => {
    const app = await serve(opened, () => undefined)
    const { port, ended } = await hop(opened, [app], {
      manager: { maxStreamDurationMs: 60_000 },
      action: { maxStreamDurationMs: 100 } as never,
    })
    assert.equal((await ask(port)).status, 504)
    assert.equal(ended[0]?.responseFlags, 'DT')
  })

  test('a connection carries so many requests, and the last answer says so', async () => {
    const { port } = await listener({ maxRequestsPerConnection: 2 })
    const answers = await raw(port, `${GET}\r\n${GET}\r\n${GET}\r\n`)
    assert.equal(answers.match(/HTTP\/1\.1 200/g)?.length, 2)
    assert.equal(answers.match(/connection: close/gi)?.length, 1)
    assert.ok(answers.indexOf('connection: close') > answers.lastIndexOf('HTTP/1.1 200'))
  })

  test('a connection that is too old is asked to go', async () => {
    const { port } = await listener({ maxConnectionDurationMs: 1 })
    const socket = connect({ port, host: '127.0.0.1' })
    opened.add(() => socket.destroy())
    await new Promise((resolve) => setTimeout(resolve, 20))
    socket.write(`${GET}\r\n`)
    let answer = ''
    for await (const bytes of socket) answer += String(bytes)
    assert.match(answer, /connection: close/)
  })

  test('more fields than allowed are 431; as many are not', async () => {
    const { port } = await listener({ maxRequestFields: 3 })
    assert.match(await raw(port, `${GET}A: 1\r\nB: 2\r\n\r\n`, /ok$/), / 200 /)
    assert.match(await raw(port, `${GET}A: 1\r\nB: 2\r\nC: 3\r\n\r\n`), /^HTTP\/1\.1 431 /)
  })
})

describe('names with underscores', () => {
  const request = `${GET}X_Secret: 1\r\nx-b: 2\r\n\r\n`

  test('go through where nothing else is said', async () => {
    const { port, seen } = await listener({})
    await raw(port, request, /ok$/)
    assert.equal(seen[0]?.headers.x_secret, '1')
  })

  test('are refused', async () => {
    const { port, seen } = await listener({ underscores: 'reject' })
    assert.match(await raw(port, request), /^HTTP\/1\.1 400 /)
    assert.equal(seen.length, 0)
  })

  test('are dropped, and nobody else is', async () => {
    const { port, seen } = await listener({ underscores: 'drop' })
    await raw(port, request, /ok$/)
    assert.deepEqual([seen[0]?.headers.x_secret, seen[0]?.headers['x-b']], [undefined, '2'])
  })
})

describe('what a listener writes', () => {
  const head = (answer: string): string => answer.slice(0, answer.indexOf('\r\n\r\n'))

  test('names of answers in the case that is asked for', async () => {
    const proper = await listener({ headerCase: 'proper' })
    const answer = head(await raw(proper.port, `${GET}\r\n`, /ok$/))
    assert.match(answer, /\r\nX-Envoy-Upstream-Service-Time: /)
    assert.doesNotMatch(answer, /\r\n[a-z]/)
    const lower = await listener({ headerCase: 'lower' })
    assert.doesNotMatch(
      head(await raw(lower.port, `${GET}\r\n`, /ok$/)),
      /\r\n[^\r\n:]*[A-Z][^\r\n:]*:/,
    )
  })

  test('names of requests in the case that the cluster asks for', async () => {
    const http = {
      protocol: 'http1',
      idleTimeoutMs: 0,
      maxRequestsPerConnection: 0,
      maxConcurrentStreams: 0,
      headerCase: 'proper',
    } as const
    const { port, seen } = await listener({}, { cluster: { http } })
    await raw(port, `${GET}x-my-field: Keep me\r\n\r\n`, /ok$/)
    assert.ok(seen[0]?.names.includes('X-My-Field'))
    assert.ok(seen[0]?.names.every((name) => /^[A-Z]/.test(name)))
    assert.equal(seen[0]?.headers['x-my-field'], 'Keep me')
  })

  const servers: readonly (readonly [string, Partial<HttpConnectionManager>, unknown, unknown])[] =
    [
      ['leaves the upstream’s', {}, 'app', 'weft'],
      ['overwrites it', { serverHeader: { kind: 'overwrite', value: 'edge' } }, 'edge', 'edge'],
      [
        'adds it where it lacks',
        { serverHeader: { kind: 'ifAbsent', value: 'edge' } },
        'app',
        'edge',
      ],
      ['removes it', { serverHeader: { kind: 'remove' } }, undefined, undefined],
    ]
  for (const [what, manager, relayed, own] of servers) {
    test(`server: ${what}`, async () => {
      const { port } = await listener({ ...manager, maxRequestFields: 5 })
      assert.equal((await ask(port)).headers.server, relayed)
      const refused = await raw(port, `${GET}A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n\r\n`)
      assert.equal(/\r\nserver: (\S+)/.exec(refused)?.[1], own)
    })
  }

  test('via, behind what is there', async () => {
    const { port, seen } = await listener({ via: '1.1 weft' })
    const answer = await raw(port, `${GET}Via: 1.0 other\r\n\r\n`, /ok$/)
    assert.equal(seen[0]?.headers.via, '1.0 other, 1.1 weft')
    assert.match(answer, /\r\nvia: 1\.1 weft\r\n/)
  })
})

describe('trace fields (R46)', () => {
  const good = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

  test('a traceparent that is one goes on as it is', async () => {
    const { port, seen } = await listener({})
    await ask(port, { headers: { traceparent: good, tracestate: 'a=b' } })
    assert.deepEqual([seen[0]?.headers.traceparent, seen[0]?.headers.tracestate], [good, 'a=b'])
  })

  for (const bad of ['nonsense', `${good}x`, good.replaceAll('b7ad6b7169203331', '0'.repeat(16))]) {
    test(`"${bad.slice(0, 60)}" begins a new trace`, async () => {
      const { port, seen } = await listener({})
      await ask(port, { headers: { traceparent: bad, tracestate: 'a=b' } })
      assert.match(String(seen[0]?.headers.traceparent), /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)
      assert.equal(seen[0]?.headers.tracestate, undefined)
    })
  }

  test('two of them are none', async () => {
    const { port, seen } = await listener({})
    await raw(port, `${GET}traceparent: ${good}\r\ntraceparent: ${good}\r\n\r\n`, /ok$/)
    assert.equal(seen[0]?.names.filter((name) => name === 'traceparent').length, 1)
    assert.notEqual(seen[0]?.headers.traceparent, good)
  })

  test('baggage of more than 8 KiB stays here', async () => {
    const { port, seen } = await listener({})
    for (const size of [8_192, 8_193]) await ask(port, { headers: { baggage: 'b'.repeat(size) } })
    assert.deepEqual(
      seen.map(({ headers }) => String(headers.baggage ?? '').length),
      [8_192, 0],
    )
  })
})

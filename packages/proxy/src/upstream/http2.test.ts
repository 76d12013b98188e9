import assert from 'node:assert/strict'
import http from 'node:http'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { createHandleTransport } from '@weft/net'
import {
  clusterOf,
  engineDeps,
  forwardTo,
  httpRuntime,
  listenerRuntime,
  routeOf,
  tableOf,
  upstreamOf,
} from '../exchange/engine-fixture.ts'
import { openListener } from '../listen/listener.ts'
import { ListenerSlot } from '../listen/listener-slot.ts'

const LOOPBACK = { host: '127.0.0.1', port: 0 }
const { NGHTTP2_REFUSED_STREAM, NGHTTP2_ENHANCE_YOUR_CALM } = http2.constants

const cleanups: (() => unknown)[] = []
after(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup()
})

type OnStream = (
  stream: http2.ServerHttp2Stream,
  session: number,
  headers: http2.IncomingHttpHeaders,
) => void

/** An application that counts its connections from 1 on. */
async function application(onStream: OnStream, settings: http2.Settings = {}): Promise<number> {
  const server = http2.createServer({ settings })
  let sessions = 0
  server.on('session', (session) => {
    const number = ++sessions
    session.on('error', () => undefined)
    session.on('stream', (stream, headers) => {
      stream.on('error', () => undefined)
      onStream(stream, number, headers)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => server.close())
  return (server.address() as AddressInfo).port
}

interface Changes {
  readonly maxRequestsPerConnection?: number
  readonly maxConcurrentStreams?: number
}

async function proxyTo(port: number, changes: Changes = {}) {
  const deps = engineDeps(createHandleTransport())
  const http = {
    protocol: 'http2',
    idleTimeoutMs: 0,
    maxRequestsPerConnection: 0,
    maxConcurrentStreams: 0,
    ...changes,
  } as const
  const cluster = upstreamOf(clusterOf('up', [{ host: '127.0.0.1', port }], { http }), deps)
  const slot = new ListenerSlot()
  slot.publish(listenerRuntime(httpRuntime(tableOf([routeOf(forwardTo('up'))]), [cluster])))
  const listener = await openListener({ address: LOOPBACK }, slot, deps)
  cleanups.push(async () => {
    cluster.close()
    await listener.close()
  })
  return listener.address.port
}

function call(port: number, method = 'GET'): Promise<string> {
  return new Promise((resolve, reject) => {
    const req = http.request({ port, host: '127.0.0.1', method, agent: false }, (res) => {
      let body = ''
      res.on('data', (chunk) => {
        body += String(chunk)
      })
      res.on('end', () => resolve(`${res.statusCode} ${body}`))
      res.on('error', reject)
    })
    req.on('error', reject)
    req.end(method === 'POST' ? 'hello' : undefined)
  })
}

function calls(port: number, count: number, method?: string): Promise<string[]> {
  return Promise.all(Array.from({ length: count }, () => call(port, method)))
}

function answer(stream: http2.ServerHttp2Stream, text: string): void {
  stream.respond({ ':status': 200 })
  stream.end(text)
}

test('requests above the last stream of a GOAWAY move to a new connection, all of them', async () => {
  const seen: http2.ServerHttp2Stream[] = []
  const port = await proxyTo(
    await application((stream, session) => {
      if (session > 1) {
        answer(stream, `connection ${session}`)
        return
      }
      seen.push(stream)
      const [first] = seen
      if (first === undefined || seen.length < 60) return
      first.session?.goaway(NGHTTP2_ENHANCE_YOUR_CALM, first.id)
      answer(first, 'connection 1')
    }),
  )
  // POST: nothing but the proof that it was not processed makes it repeatable.
  const answers = await calls(port, 60, 'POST')
  const moved = answers.filter((text) => text === '200 connection 2')
  assert.equal(answers.filter((text) => text === '200 connection 1').length, 1)
  assert.equal(moved.length, 59)
})

test('what an upstream refuses is tried again, whatever the method', async () => {
  let refused = 0
  const port = await proxyTo(
    await application((stream) => {
      if (refused++ === 0) stream.close(NGHTTP2_REFUSED_STREAM)
      else answer(stream, 'done')
    }),
  )
  assert.equal(await call(port, 'POST'), '200 done')
  assert.equal(refused, 2)
})

test('what an upstream may have processed is not tried again', async () => {
  let seen = 0
  const port = await proxyTo(
    await application((stream) => {
      seen++
      stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR)
    }),
  )
  assert.match(await call(port, 'POST'), /^503 /)
  assert.equal(seen, 1)
})

test('streams beyond what the upstream allows go over a second connection', async () => {
  const held: http2.ServerHttp2Stream[] = []
  const used: number[] = []
  const port = await proxyTo(
    await application(
      (stream, session, headers) => {
        if (headers[':method'] === 'GET') {
          answer(stream, 'ok')
          return
        }
        used.push(session)
        held.push(stream)
        if (held.length === 6) for (const each of held) answer(each, 'ok')
      },
      { maxConcurrentStreams: 3 },
    ),
  )
  // The limit is known before the others come.
  assert.equal(await call(port), '200 ok')
  const answers = await calls(port, 6, 'POST')
  assert.deepEqual(new Set(answers), new Set(['200 ok']))
  assert.deepEqual(used.sort(), [1, 1, 1, 2, 2, 2])
})

test('a connection carries as many requests as the cluster says', async () => {
  const perConnection = new Map<number, number>()
  const port = await proxyTo(
    await application((stream, session) => {
      perConnection.set(session, (perConnection.get(session) ?? 0) + 1)
      answer(stream, 'ok')
    }),
    { maxRequestsPerConnection: 4 },
  )
  for (let i = 0; i < 5; i++) await calls(port, 4)
  assert.deepEqual([...perConnection.values()], [4, 4, 4, 4, 4])
})

test('a WebSocket does not go to an upstream that takes none over HTTP/2', async () => {
  let seen = 0
  const port = await proxyTo(
    await application((stream) => {
      seen++
      answer(stream, 'ok')
    }),
  )
  const headers = {
    connection: 'upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  }
  const status = await new Promise((resolve, reject) => {
    const req = http.request({ port, host: '127.0.0.1', headers, agent: false })
    req.on('response', (res) => resolve(res.statusCode))
    req.on('upgrade', () => reject(new Error('it was agreed to')))
    req.on('error', reject)
    req.end()
  })
  assert.equal(status, 503)
  assert.equal(seen, 0)
  assert.equal(await call(port), '200 ok')
})

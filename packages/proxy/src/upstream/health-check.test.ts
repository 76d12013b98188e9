import assert from 'node:assert/strict'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2'
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net'
import { after, describe, test } from 'node:test'
import { realClock } from '@weft/base'
import type { HealthCheck, HealthProbe } from '@weft/model'
import { createNodeTransport, type Socket, type SocketHandler } from '@weft/net'
import { eventually, FakeClock } from '@weft/testkit'
import { createClusterBalancer, type Host } from '@weft/traffic'
import { HealthChecker } from './health-check.ts'

const CHECK = {
  intervalMs: 5,
  jitterMs: 2,
  timeoutMs: 2_000,
  unhealthyThreshold: 2,
  healthyThreshold: 2,
}
const HTTP: HealthProbe = {
  kind: 'http',
  path: '/healthz',
  method: 'GET',
  protocol: 'http1',
  expectedStatuses: [{ from: 200, to: 300 }],
}

const cleanups: (() => void)[] = []
after(() => {
  for (const cleanup of cleanups) cleanup()
})

function hostsAt(...ports: readonly number[]): readonly Host[] {
  const balancer = createClusterBalancer(
    { policy: { kind: 'random' }, panicPercent: 0 },
    { random: () => 0, nowMs: () => 0 },
  )
  const endpoints = ports.map((port) => ({
    address: { host: '127.0.0.1', port },
    weight: 1,
    health: 'healthy' as const,
  }))
  const locality = { region: '', zone: '', subZone: '' }
  balancer.update({
    name: 'c',
    localities: [{ locality, priority: 0, weight: 1, endpoints }],
  })
  return balancer.hosts
}

async function listen(server: Server | ReturnType<typeof createHttpServer>): Promise<number> {
  // A check that is stopped resets its connection: the HTTP/2 server calls that an error.
  server.on('connection', (socket) => socket.on('error', () => undefined))
  server.on('session', (session) => session.on('error', () => undefined))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => server.close())
  return (server.address() as AddressInfo).port
}

/** Checks one host, unhealthy at first, against real sockets. */
function watch(port: number, probe: HealthProbe, more: Partial<HealthCheck> = {}): Host {
  const [host] = hostsAt(port)
  assert.ok(host)
  const transport = createNodeTransport()
  const checker = new HealthChecker([{ ...CHECK, ...more, probe }], [], {
    clock: realClock,
    random: Math.random,
    connect: (_host, address, handler) => transport.connect(address, handler),
    cluster: 'reviews',
    hasTraffic: () => true,
    onChange: () => undefined,
  })
  checker.update([host])
  assert.equal(host.failedCheck, true, 'a new host waits for its first check')
  cleanups.push(() => checker.stop())
  return host
}

describe('health checks of real servers', () => {
  test('HTTP/1: expected statuses pass, others count at once', async () => {
    let status = 204
    const asked: string[] = []
    const server = createHttpServer((request, response) => {
      asked.push(`${request.method} ${request.url} ${request.headers.host}`)
      response.writeHead(status).end()
    })
    const host = watch(await listen(server), HTTP)
    await eventually(() => assert.equal(host.failedCheck, false))
    assert.equal(asked[0], 'GET /healthz reviews')
    status = 503
    await eventually(() => assert.equal(host.failedCheck, true))
    status = 200
    await eventually(() => assert.equal(host.failedCheck, false))
  })

  test('HTTP/1: the answer must be from the right service', async () => {
    let name = 'ratings'
    let asked = 0
    const server = createHttpServer((_, response) => {
      asked++
      response.writeHead(200, { 'x-envoy-upstream-healthchecked-cluster': name }).end('ok')
    })
    const serviceName = { kind: 'prefix', value: 'rev', ignoreCase: false } as const
    const host = watch(await listen(server), { ...HTTP, serviceName })
    await eventually(() => assert.ok(asked > 2))
    assert.equal(host.failedCheck, true)
    name = 'reviews-v1'
    await eventually(() => assert.equal(host.failedCheck, false))
  })

  test('HTTP/2 and gRPC', async () => {
    let serving = 1
    const server = createHttp2Server()
    server.on('stream', (stream: ServerHttp2Stream, headers) => {
      stream.on('error', () => undefined)
      if (headers[':path'] !== '/grpc.health.v1.Health/Check') {
        stream.respond(
          { ':status': headers[':path'] === '/healthz' ? 200 : 404 },
          { endStream: true },
        )
        return
      }
      const parts: Buffer[] = []
      stream.on('data', (part: Buffer) => parts.push(part))
      stream.on('end', () => {
        const known = Buffer.concat(parts).toString('latin1') === '\0\0\0\0\x05\x0a\x03svc'
        stream.respond(
          { ':status': 200, 'content-type': 'application/grpc' },
          { waitForTrailers: true },
        )
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': known ? '0' : '5' }))
        stream.end(known ? Buffer.from([0, 0, 0, 0, 2, 8, serving]) : undefined)
      })
    })
    const port = await listen(server)
    const plain = watch(port, { ...HTTP, protocol: 'http2' })
    const grpc = watch(port, { kind: 'grpc', service: 'svc' })
    const other = watch(port, { kind: 'grpc', service: 'other' })
    await eventually(() => assert.equal(plain.failedCheck, false))
    await eventually(() => assert.equal(grpc.failedCheck, false))
    assert.equal(other.failedCheck, true)
    serving = 2
    await eventually(() => assert.equal(grpc.failedCheck, true))
  })

  test('TCP: pieces in order, however they are cut; connecting alone when nothing is awaited', async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => undefined)
      socket.on('data', (bytes) => {
        if (bytes.toString() !== 'PING') return
        for (const letter of '+xxPO..NG') socket.write(letter)
      })
    })
    const port = await listen(server)
    const bytes = (text: string) => new Uint8Array(Buffer.from(text))
    const send = bytes('PING')
    const good = watch(port, { kind: 'tcp', send, receive: [bytes('PO'), bytes('NG')] })
    const bare = watch(port, { kind: 'tcp', receive: [] })
    const wrong = watch(
      port,
      { kind: 'tcp', send, receive: [bytes('NG'), bytes('PO')] },
      { timeoutMs: 50 },
    )
    await eventually(() => assert.equal(good.failedCheck, false))
    await eventually(() => assert.equal(bare.failedCheck, false))
    assert.equal(wrong.failedCheck, true)
  })
})

/** A checker on a fake clock whose connections the test answers. */
function fake(hosts: readonly Host[], more: Partial<HealthCheck> = {}, traffic = true) {
  const clock = new FakeClock()
  const handlers: SocketHandler[] = []
  const changed: Host[] = []
  const check: HealthCheck = {
    ...CHECK,
    intervalMs: 1_000,
    jitterMs: 0,
    timeoutMs: 100,
    probe: { kind: 'tcp', receive: [] },
    ...more,
  }
  const checker = new HealthChecker([check], hosts, {
    clock,
    random: () => 0.5,
    connect(_host, _address, handler) {
      handlers.push(handler)
      return { close: () => undefined, write: () => true } as unknown as Socket
    },
    cluster: 'c',
    hasTraffic: () => traffic,
    onChange: (host) => changed.push(host),
  })
  return { clock, handlers, changed, checker }
}

describe('when health checks run', () => {
  test('hosts that are there at first are trusted until the thresholds say otherwise', () => {
    const hosts = hostsAt(1)
    const { clock, handlers, changed } = fake(hosts)
    assert.equal(hosts[0]?.failedCheck, false)
    clock.advance(100)
    assert.equal(hosts[0]?.failedCheck, false, 'one timeout of two')
    clock.advance(1_000)
    assert.equal(handlers.length, 2)
    clock.advance(100)
    assert.equal(hosts[0]?.failedCheck, true)
    assert.deepEqual(changed, hosts)
  })

  test('interval and jitter count from the end of a check', () => {
    const { clock, handlers } = fake(hostsAt(1), { jitterMs: 500 })
    handlers[0]?.onOpen()
    clock.advance(1_249)
    assert.equal(handlers.length, 1)
    clock.advance(1)
    assert.equal(handlers.length, 2)
  })

  test('a cluster without traffic is asked at its own interval', () => {
    const { clock, handlers } = fake(hostsAt(1), { idleIntervalMs: 60_000 }, false)
    handlers[0]?.onOpen()
    clock.advance(59_999)
    assert.equal(handlers.length, 1)
    clock.advance(1)
    assert.equal(handlers.length, 2)
  })

  test('a late word of a check that is over counts for nothing', () => {
    const hosts = hostsAt(1)
    const { clock, handlers } = fake(hosts, { unhealthyThreshold: 1, healthyThreshold: 1 })
    clock.advance(100)
    assert.equal(hosts[0]?.failedCheck, true)
    handlers[0]?.onOpen()
    assert.equal(hosts[0]?.failedCheck, true)
  })

  test('hosts that are gone are not asked any more', () => {
    const { clock, handlers, checker } = fake(hostsAt(1))
    handlers[0]?.onOpen()
    checker.update([])
    clock.advance(10_000)
    assert.equal(handlers.length, 1)
  })
})

test('a stall of our own event loop fails nobody', () => {
  const hosts = hostsAt(1)
  let nowMs = 0
  const timers: { readonly atMs: number; readonly fire: () => void }[] = []
  const handlers: SocketHandler[] = []
  const probe: HealthProbe = { kind: 'tcp', receive: [] }
  new HealthChecker([{ ...CHECK, timeoutMs: 100, unhealthyThreshold: 1, probe }], hosts, {
    clock: {
      nowMs: () => nowMs,
      monotonicMs: () => nowMs,
      after(delayMs, fire) {
        timers.push({ atMs: nowMs + delayMs, fire })
        return () => undefined
      },
    },
    random: () => 0,
    connect(_host, _address, handler) {
      handlers.push(handler)
      return { close: () => undefined, write: () => true } as unknown as Socket
    },
    cluster: 'c',
    hasTraffic: () => true,
    onChange: () => undefined,
  })
  // The loop stood still for two seconds; timers run before what lies in the kernel is read.
  nowMs = 2_000
  timers.shift()?.fire()
  assert.equal(hosts[0]?.failedCheck, false)
  assert.equal(timers[0]?.atMs, 2_100, 'as long again, but no longer than its timeout')
  handlers[0]?.onOpen()
  assert.equal(hosts[0]?.failedCheck, false)
  // Without a stall the timeout counts.
  nowMs = 2_200
  timers.at(-1)?.fire()
  nowMs = 2_300
  timers.at(-1)?.fire()
  assert.equal(hosts[0]?.failedCheck, true)
})

/** The engine between a client and upstreams that a test scripts, over real sockets. */
import assert from 'node:assert/strict'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { after, test } from 'node:test'
import type { Cluster, HttpConnectionManager, Route, RouteAction } from '@weft/model'
import { eventually } from '@weft/testkit'
import { openListener } from '../listen/listener.ts'
import { ListenerSlot } from '../listen/listener-slot.ts'
import type { OpenListener } from '../listen/open-listener.ts'
import type { ExchangeRecord, HttpRuntime } from './contract.ts'
import {
  clusterOf,
  engineDeps,
  forwardTo,
  httpRuntime,
  listenerRuntime,
  MANAGER,
  routeOf,
  tableOf,
  upstreamOf,
} from './engine-fixture.ts'
import { openEngine } from './open-engine.ts'

const closers: (() => void)[] = []
after(() => {
  for (const close of closers) close()
})

type Answer = (request: string, socket: Socket, connection: number) => void

interface Upstream {
  readonly port: number
  readonly requests: string[]
  connections: number
}

/** Calls `answer` for every read: tests send small messages, which arrive whole. */
async function upstream(answer: Answer): Promise<Upstream> {
  const state: Upstream = { port: 0, requests: [], connections: 0 }
  const server: Server = createServer((socket) => {
    const connection = ++state.connections
    closers.push(() => socket.destroy())
    socket.on('error', () => undefined)
    socket.on('data', (bytes) => {
      state.requests.push(bytes.toString('latin1'))
      answer(bytes.toString('latin1'), socket, connection)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => server.close())
  const address = server.address()
  return Object.assign(state, {
    port: typeof address === 'object' && address !== null ? address.port : 0,
  })
}

const OK: Answer = (_request, socket) => {
  socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
}

interface Engine {
  readonly listener: OpenListener
  readonly slot: ListenerSlot
  readonly records: {
    status: number
    flags: string
    attempts: number
    path: string
  }[]
  readonly durations: number[]
  readonly runtime: HttpRuntime
}

interface EngineSetup {
  readonly ports: readonly number[]
  readonly action?: Partial<RouteAction>
  readonly route?: Partial<Route>
  readonly manager?: Partial<HttpConnectionManager>
  readonly cluster?: Partial<Cluster>
  readonly more?: Readonly<Record<string, number>>
}

async function engine(setup: EngineSetup): Promise<Engine> {
  const deps = engineDeps()
  const addresses = setup.ports.map((port) => ({ host: '127.0.0.1', port }))
  const app = upstreamOf(clusterOf('app', addresses, setup.cluster), deps)
  const others = Object.entries(setup.more ?? {}).map(([name, port]) =>
    upstreamOf(clusterOf(name, [{ host: '127.0.0.1', port }]), deps),
  )
  const records: Engine['records'] = []
  const durations: number[] = []
  const observer = {
    onExchangeEnd({ status, responseFlags, attempts, path, durationMs }: ExchangeRecord) {
      durations.push(durationMs)
      records.push({ status, flags: responseFlags, attempts, path })
    },
    onConnectionEnd() {},
  }
  const opened = await openEngine([app, ...others], observer, setup, deps)
  closers.push(() => void opened.listener.close())
  return { ...opened, records, durations }
}

/** A client's connection: everything that came so far, and waiting for more. */
class Client {
  text = ''
  ended = false
  readonly socket: Socket
  #wake: (() => void)[] = []

  constructor({ listener }: { readonly listener: OpenListener }) {
    this.socket = connect({ port: listener.address.port, host: '127.0.0.1', allowHalfOpen: true })
    this.socket.on('data', (bytes) => {
      this.text += bytes.toString('latin1')
      this.#notify()
    })
    const end = (): void => {
      this.ended = true
      this.#notify()
    }
    this.socket.on('end', end).on('close', end).on('error', end)
    closers.push(() => this.socket.destroy())
  }

  send(text: string): this {
    this.socket.write(text, 'latin1')
    return this
  }

  /** Resolves when what came matches, rejects when the connection ended without it. */
  async sees(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.text)) {
      if (this.ended) assert.fail(`ended without ${pattern}: ${JSON.stringify(this.text)}`)
      await new Promise<void>((resolve) => this.#wake.push(resolve))
    }
    return this.text
  }

  async seesEnd(): Promise<string> {
    while (!this.ended) await new Promise<void>((resolve) => this.#wake.push(resolve))
    return this.text
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}

const GET = 'GET /a HTTP/1.1\r\nHost: app.test\r\n\r\n'
const RETRY = {
  on: ['5xx', 'connect-failure'],
  statusCodes: [],
  attempts: 2,
  perTryTimeoutMs: 0,
  backoffBaseMs: 1,
  backoffMaxMs: 2,
  avoidPreviousHosts: true,
  onlyWhen: [],
} as const

test('forwards, reuses the upstream connection and keeps the case of header names', async () => {
  const app = await upstream(OK)
  const proxy = await engine({ ports: [app.port] })
  const client = new Client(proxy)
  client.send('GET /a HTTP/1.1\r\nHoSt: app.test\r\nX-MiXed: 1\r\n\r\n')
  await client.sees(/ok$/)
  client.text = ''
  client.send(GET)
  await client.sees(/ok$/)
  assert.equal(app.connections, 1)
  assert.match(app.requests[0] ?? '', /\r\nHoSt: app\.test\r\nX-MiXed: 1\r\n/)
  assert.match(app.requests[0] ?? '', /\r\nx-request-id: [0-9a-f-]{36}\r\n/)
  assert.deepEqual(
    proxy.records,
    Array(2).fill({ status: 200, flags: '-', attempts: 1, path: '/a' }),
  )
})

test('answers pipelined requests in order', async () => {
  const app = await upstream((request, socket) => {
    const name = /^GET \/(\S+)/.exec(request)?.[1] ?? ''
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${name.length}\r\n\r\n${name}`)
  })
  const client = new Client(await engine({ ports: [app.port] }))
  client.send(
    ['first', 'second', 'third'].map((name) => `GET /${name} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''),
  )
  const text = await client.sees(/third$/)
  assert.deepEqual(text.match(/first|second|third/g), ['first', 'second', 'third'])
})

test('tries another endpoint when one refuses, whatever the method', async () => {
  const app = await upstream(OK)
  const closed = await upstream(OK)
  const deadPort = await freePort()
  const proxy = await engine({ ports: [deadPort, app.port] })
  for (let i = 0; i < 6; i++) {
    const client = new Client(proxy)
    client.send('POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi')
    await client.sees(/200 OK[\s\S]*ok$/)
    client.socket.destroy()
  }
  assert.equal(closed.connections, 0)
  assert.ok(app.requests.every((request) => request.endsWith('\r\n\r\nhi')))
})

test('repeats what a policy allows and gives up with the last answer', async () => {
  const app = await upstream((_request, socket) => {
    socket.write('HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy')
  })
  const proxy = await engine({ ports: [app.port], action: { retry: RETRY } as never })
  const client = new Client(proxy).send(GET)
  await client.sees(/503 Busy[\s\S]*busy$/)
  assert.equal(app.requests.length, 3)
  assert.match(app.requests[2] ?? '', /x-envoy-attempt-count: 3/)
  assert.deepEqual(proxy.records, [{ status: 503, flags: 'URX', attempts: 3, path: '/a' }])
  const ids = app.requests.map((request) => /x-request-id: (\S+)/.exec(request)?.[1])
  assert.equal(new Set(ids).size, 1)
})

test('does not repeat a POST that may have been processed', async () => {
  const app = await upstream((_request, socket) => socket.destroy())
  const proxy = await engine({ ports: [app.port] })
  const client = new Client(proxy)
  client.send('POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi')
  await client.sees(/503 Service Unavailable/)
  assert.equal(app.requests.length, 1)
  assert.equal(proxy.records[0]?.flags, 'UC')
})

test('a reused connection that closes before answering costs an idempotent request nothing', async () => {
  const app = await upstream((request, socket, connection) => {
    if (connection === 1 && app.requests.length > 1) socket.destroy()
    else OK(request, socket, connection)
  })
  const proxy = await engine({ ports: [app.port] })
  const client = new Client(proxy).send(GET)
  await client.sees(/ok$/)
  client.text = ''
  client.send(GET)
  await client.sees(/200 OK[\s\S]*ok$/)
  assert.equal(app.connections, 2)
  assert.deepEqual(
    proxy.records.map(({ attempts }) => attempts),
    [1, 2],
  )
})

test('a late answer is 504 and the connection it was waited for is not used again', async () => {
  const app = await upstream(() => undefined)
  const proxy = await engine({ ports: [app.port], action: { timeoutMs: 60 } as never })
  const client = new Client(proxy).send(GET)
  await client.sees(/504 Gateway Timeout/)
  assert.equal(proxy.records[0]?.flags, 'UT')
})

test('a per-try limit starts the next try', async () => {
  const app = await upstream((request, socket, connection) => {
    if (connection > 1) OK(request, socket, connection)
  })
  const retry = { ...RETRY, perTryTimeoutMs: 60 }
  const proxy = await engine({ ports: [app.port], action: { retry, timeoutMs: 5_000 } as never })
  await new Client(proxy).send(GET).sees(/200 OK/)
  assert.equal(app.connections, 2)
})

const EXPECTING = 'PUT /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n'

test('a client that waits for 100 gets it from the proxy, and the upstream hears nothing of it', async () => {
  const app = await upstream((request, socket) => {
    if (!request.endsWith('body')) return
    assert.doesNotMatch(request, /expect/i)
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  })
  const client = new Client(await engine({ ports: [app.port] }))
  client.send(EXPECTING)
  await client.sees(/^HTTP\/1\.1 100 Continue\r\n\r\n$/)
  client.send('body')
  await client.sees(/200 OK/)
  // The connection is as good as before.
  client.send(EXPECTING)
  await client.sees(/100 Continue[\s\S]*200 OK[\s\S]*100 Continue\r\n\r\n$/)
})

test('who waits for 100 with a request that is refused sends no body', async () => {
  const proxy = await engine({
    ports: [],
    route: { action: { kind: 'respond', status: 403, body: 'no' } },
  })
  const client = new Client(proxy)
  client.send(EXPECTING)
  await client.sees(/^HTTP\/1\.1 403 [\s\S]*no$/)
  assert.match(client.text, /connection: close/i)
})

test('100-continue goes through, both ways, where the listener says so', async () => {
  const app = await upstream((request, socket) => {
    if (request.includes('Expect')) socket.write('HTTP/1.1 100 Continue\r\n\r\n')
    else socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${request.length}\r\n\r\n${request}`)
  })
  const manager = { proxy100Continue: true }
  const client = new Client(await engine({ ports: [app.port], manager }))
  client.send(EXPECTING)
  await client.sees(/^HTTP\/1\.1 100 Continue\r\n\r\n$/)
  client.send('body')
  await client.sees(/200 OK[\s\S]*body$/)
})

test('an upgrade the upstream agrees to becomes a tunnel; the connection is not pooled', async () => {
  const app = await upstream((request, socket) => {
    if (request.startsWith('GET')) {
      assert.match(request, /\r\nUpgrade: websocket\r\n/)
      assert.match(request, /\r\nconnection: upgrade\r\n/i)
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello',
      )
    } else socket.write(`echo ${request}`)
  })
  const proxy = await engine({ ports: [app.port] })
  const client = new Client(proxy)
  client.send('GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  await client.sees(/101 Switching Protocols[\s\S]*hello$/)
  client.send('ping')
  await client.sees(/echo ping$/)
  assert.equal(proxy.listener.connections, 1)
  client.socket.destroy()
  while (proxy.listener.connections > 0) await new Promise(setImmediate)
  assert.equal(proxy.records[0]?.status, 101)
})

test('CONNECT opens a tunnel where a route says so, with half-close', async () => {
  const app = await upstream((request, socket) => socket.write(`got ${request}`))
  const match = { path: { kind: 'connect' }, headers: [], query: [] } as const
  const proxy = await engine({ ports: [app.port], route: { match } })
  const client = new Client(proxy).send(
    'CONNECT app.test:5432 HTTP/1.1\r\nHost: app.test:5432\r\n\r\n',
  )
  await client.sees(/^HTTP\/1\.1 200 OK\r\n\r\n$/)
  client.send('bytes')
  await client.sees(/got bytes$/)
  client.socket.end()
  await client.seesEnd()
})

test('CONNECT to a host of HTTP routes ends here, and the requests inside are routed', async () => {
  const app = await upstream(OK)
  const manager = { upgrades: ['websocket', 'connect'] }
  const match = { path: { kind: 'prefix', value: '/', ignoreCase: false }, headers: [], query: [] }
  const proxy = await engine({ ports: [app.port], manager, route: { match } as never })
  const client = new Client(proxy).send('CONNECT app.test:80 HTTP/1.1\r\nHost: app.test:80\r\n\r\n')
  await client.sees(/^HTTP\/1\.1 200 OK\r\n\r\n$/)
  await client.send(GET).sees(/ok$/)
  await client.send(GET).sees(/ok[\s\S]*ok$/)
  assert.deepEqual(
    proxy.records.map(({ path }) => path),
    ['', '/a', '/a'],
  )
})

test('CONNECT is refused where the listener does not let it through', async () => {
  const app = await upstream(OK)
  const match = { path: { kind: 'prefix', value: '/', ignoreCase: false }, headers: [], query: [] }
  const proxy = await engine({ ports: [app.port], route: { match } as never })
  await new Client(proxy)
    .send('CONNECT app.test:80 HTTP/1.1\r\nHost: app.test:80\r\n\r\n')
    .sees(/^HTTP\/1\.1 404 /)
})

test('a mirrored request goes to both clusters, and only the first one answers', async () => {
  const app = await upstream(OK)
  let mirrored: (request: string) => void = () => undefined
  const copy = new Promise<string>((resolve) => {
    mirrored = resolve
  })
  const shadow = await upstream((request) => mirrored(request))
  const mirrors = [{ cluster: 'shadow', percent: 100 }]
  const proxy = await engine({
    ports: [app.port],
    action: { mirrors } as never,
    more: { shadow: shadow.port },
  })
  const client = new Client(proxy)
  client.send('POST /a HTTP/1.1\r\nHost: app.test:80\r\nContent-Length: 2\r\n\r\nhi')
  await client.sees(/ok$/)
  const request = await copy
  assert.match(request, /\r\nhost: app\.test-shadow:80\r\n/)
  assert.ok(request.endsWith('\r\n\r\nhi'))
})

test('a request whose body comes later is mirrored when it is complete', async () => {
  const app = await upstream((text, socket, connection) => {
    if (text.endsWith('re')) OK(text, socket, connection)
  })
  const copies: string[] = []
  const shadow = await upstream((request) => {
    copies.push(request)
  })
  const mirrors = [{ cluster: 'shadow', percent: 100 }]
  const proxy = await engine({
    ports: [app.port],
    action: { mirrors } as never,
    more: { shadow: shadow.port },
  })
  const client = new Client(proxy)
  const head = 'POST /a HTTP/1.1\r\nHost: app.test:80\r\n'
  client.send(`${head}Content-Length: 4\r\n\r\nhe`)
  await eventually(() => assert.equal(app.connections, 1))
  client.send('re')
  await client.sees(/ok$/)
  await eventually(() => assert.equal(copies.length, 1))
  assert.match(copies[0] ?? '', /\r\n\r\nhere$/)
})

test('faults delay and abort', async () => {
  const app = await upstream(OK)
  const fault = { delay: { percent: 100, delayMs: 30 }, abort: { percent: 100, status: 418 } }
  const proxy = await engine({ ports: [app.port], route: { fault } })
  const beganMs = performance.now()
  await new Client(proxy).send(GET).sees(/HTTP\/1\.1 418 [\s\S]*fault filter abort$/)
  assert.ok(performance.now() - beganMs >= 29)
  assert.deepEqual(proxy.records, [{ status: 418, flags: 'DI,FI', attempts: 0, path: '/a' }])
  assert.equal(app.connections, 0)
})

test('requests wait for the first configuration instead of being refused', async () => {
  const app = await upstream(OK)
  const ready = await engine({ ports: [app.port] })
  const slot = new ListenerSlot()
  const listener = await openListener(
    { address: { host: '127.0.0.1', port: 0 } },
    slot,
    engineDeps(),
  )
  closers.push(() => void listener.close())
  const client = new Client({ listener }).send(GET)
  while (slot.held === 0) await new Promise(setImmediate)
  slot.publish(listenerRuntime(ready.runtime))
  await client.sees(/200 OK[\s\S]*ok$/)
})

test('a drain answers with Connection: close and resolves when the last client is gone', async () => {
  const app = await upstream(OK)
  const proxy = await engine({ ports: [app.port] })
  const client = new Client(proxy).send(GET)
  await client.sees(/ok$/)
  const drained = proxy.listener.drain({ idleMs: 10_000, deadlineMs: 20_000 })
  client.text = ''
  client.send(GET)
  assert.match(await client.sees(/ok$/), /\r\nconnection: close\r\n/)
  await client.seesEnd()
  client.socket.end()
  await drained
})

test('a body of many megabytes passes both ways through bounded buffers', async () => {
  const size = 20_000_000
  let received = 0
  const server = createServer((socket) => {
    closers.push(() => socket.destroy())
    let head = true
    socket.on('data', (bytes) => {
      received += bytes.length - (head ? bytes.indexOf('\r\n\r\n') + 4 : 0)
      head = false
      if (received < size) return
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
      socket.write(Buffer.alloc(size, 7))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => server.close())
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const proxy = await engine({ ports: [port] })
  const socket = connect(proxy.listener.address.port, '127.0.0.1')
  closers.push(() => socket.destroy())
  socket.write(`PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`)
  socket.write(Buffer.alloc(size, 5))
  let back = 0
  let sevens = 0
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject)
    socket.on('data', (bytes) => {
      for (const byte of bytes) if (byte === 7) sevens++
      back += bytes.length
      if (sevens === size) resolve()
    })
    socket.on('close', () => reject(new Error(`closed after ${back} bytes`)))
  })
  assert.equal(received, size)
})

test('an answer without a length is chunked for HTTP/1.1 and ends the connection for HTTP/1.0', async () => {
  const app = await upstream((_request, socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nhello'))
  const proxy = await engine({ ports: [app.port] })
  await new Client(proxy)
    .send(GET)
    .sees(/transfer-encoding: chunked[\s\S]*5\r\nhello\r\n0\r\n\r\n$/)
  const old = new Client(proxy).send('GET /a HTTP/1.0\r\nHost: a\r\n\r\n')
  assert.match(await old.seesEnd(), /\r\n\r\nhello$/)
  assert.doesNotMatch(old.text, /chunked/)
})

test('a client that leaves ends its request upstream', async () => {
  let gone: () => void = () => undefined
  const left = new Promise<void>((resolve) => {
    gone = resolve
  })
  const app = await upstream((_request, socket) => socket.on('close', () => gone()))
  const proxy = await engine({ ports: [app.port] })
  const client = new Client(proxy).send(GET)
  while (app.requests.length === 0) await new Promise(setImmediate)
  client.socket.resetAndDestroy()
  await left
  assert.equal(proxy.records[0]?.flags, 'DC')
})

test('paths are matched, logged and forwarded in one canonical form', async () => {
  const app = await upstream(OK)
  const proxy = await engine({ ports: [app.port] })
  await new Client(proxy).send('GET /x/../%61/./b?c=%2e HTTP/1.1\r\nHost: a\r\n\r\n').sees(/ok$/)
  assert.match(app.requests[0] ?? '', /^GET \/a\/b\?c=%2e HTTP\/1\.1/)
  assert.equal(proxy.records[0]?.path, '/a/b?c=%2e')
})

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** A listener whose chain is there and whose routes are not: RDS has not answered. */
async function withoutRoutes(holdMs: number, maxHeld?: number) {
  const { runtime, records } = await engine({ ports: [1] })
  const slot = new ListenerSlot(listenerRuntime({ ...runtime, routes: undefined }))
  const listener = await openListener(
    {
      address: { host: '127.0.0.1', port: 0 },
      holdMs,
      ...(maxHeld === undefined ? {} : { maxHeld }),
    },
    slot,
    engineDeps(),
  )
  closers.push(() => void listener.close())
  return { listener, slot, runtime, records }
}

test('requests wait for routes for so long, then hear 503 and why', async () => {
  const { listener, records, slot, runtime } = await withoutRoutes(150)
  const client = new Client({ listener }).send(GET)
  await client.sees(/503 Service Unavailable[\s\S]*no configuration yet\n$/)
  assert.equal(records[0]?.flags, 'NC')
  // Another listener without routes, published again and again, does not prolong the wait.
  client.text = ''
  client.send(GET)
  const again = setInterval(
    () => slot.publish(listenerRuntime({ ...runtime, routes: undefined })),
    20,
  )
  await client.sees(/503 Service Unavailable/).finally(() => clearInterval(again))
})

test('no more than so many wait for routes: the rest hears 503 at once', async () => {
  const { listener, slot } = await withoutRoutes(60_000, 1)
  const first = new Client({ listener }).send(GET)
  while (slot.held === 0) await new Promise(setImmediate)
  await new Client({ listener }).send(GET).sees(/503 Service Unavailable/)
  assert.equal(first.text, '')
})

test('who waits for the first configuration in vain hears 503, or is closed without HTTP', async () => {
  const address = { host: '127.0.0.1', port: 0 }
  const listener = await openListener({ address, holdMs: 50 }, new ListenerSlot(), engineDeps())
  closers.push(() => void listener.close())
  const [http, other] = [
    new Client({ listener }).send(GET),
    new Client({ listener }).send('\0\0\0'),
  ]
  assert.match(
    await http.seesEnd(),
    /^HTTP\/1.1 503 [\s\S]*\r\n\r\nthis proxy has no configuration yet\n$/,
  )
  assert.equal(await other.seesEnd(), '')
  http.socket.end()
  while (listener.connections > 0) await new Promise(setImmediate)
})

test('an answer that stalls is logged with the time it took', async () => {
  const app = await upstream((_request, socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
  })
  const proxy = await engine({ ports: [app.port], action: { timeoutMs: 300 } })
  await new Client(proxy).send(GET).seesEnd()
  assert.equal(proxy.records[0]?.flags, 'UT')
  assert.ok((proxy.durations[0] ?? 0) >= 250, `${proxy.durations[0]} ms`)
})

test('a gateway takes no forwarding claims from outside, under whatever name', async () => {
  const app = await upstream(OK)
  const proxy = await engine({ ports: [app.port], manager: { useRemoteAddress: true } })
  const claims = [
    'Forwarded: for=6.6.6.6',
    'X-Real-IP: 6.6.6.6',
    'x-forwarded-for: 6.6.6.6',
    'x-forwarded-host: evil',
    'x-envoy-internal: true',
    'X-Weft-Peer: evil',
    'x-request-id: mine',
  ]
  await new Client(proxy)
    .send(`GET / HTTP/1.1\r\nHost: a\r\n${claims.join('\r\n')}\r\nFrom: me\r\n\r\n`)
    .sees(/ok$/)
  const seen = app.requests[0] ?? ''
  assert.doesNotMatch(seen, /6\.6\.6\.6|evil|mine|internal/)
  assert.match(seen, /\r\nx-forwarded-for: 127\.0\.0\.1\r\n/)
  assert.match(seen, /\r\nFrom: me\r\n/)
})

test('an answer that stops is cut when no byte came for the stream-idle limit', async () => {
  const app = await upstream((_request, socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
  })
  const proxy = await engine({ ports: [app.port], manager: { streamIdleTimeoutMs: 200 } })
  const client = new Client(proxy).send(GET)
  assert.match(await client.seesEnd(), /half$/)
  assert.deepEqual(proxy.records, [{ status: 200, flags: 'UT', attempts: 1, path: '/a' }])
})

test('a request body that stops is 408 after the stream-idle limit; one that goes on is not', async () => {
  const app = await upstream(() => undefined)
  const proxy = await engine({ ports: [app.port], manager: { streamIdleTimeoutMs: 300 } })
  const head = 'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n'
  const stalled = new Client(proxy).send(head)
  const slow = new Client(proxy).send(head)
  const dripping = setInterval(() => slow.send('x'), 50)
  await stalled.sees(/^HTTP\/1.1 408 /)
  assert.equal(proxy.records[0]?.flags, 'SI')
  await new Promise((resolve) => setTimeout(resolve, 400))
  clearInterval(dripping)
  assert.equal(slow.text, '')
})

/** A forward proxy whose names are what the test says they are. */
async function forwarding(names: Readonly<Record<string, string | Error | Promise<string>>>) {
  const asked: string[] = []
  const deps = {
    ...engineDeps(),
    async resolve(name: string) {
      asked.push(name)
      const answer = await names[name]
      if (answer instanceof Error) throw answer
      return answer === undefined ? [] : [answer]
    },
  }
  const cluster = upstreamOf(clusterOf('app', [], { discovery: { kind: 'forwardProxy' } }), deps)
  const records: { status: number; flags: string }[] = []
  const observer = {
    onExchangeEnd: ({ status, responseFlags }: ExchangeRecord) =>
      void records.push({ status, flags: responseFlags }),
    onConnectionEnd() {},
  }
  const manager = { ...MANAGER, upgrades: ['connect'] }
  const table = tableOf([routeOf(forwardTo('app'))])
  const slot = new ListenerSlot(
    listenerRuntime(httpRuntime(table, [cluster], { observer, manager })),
  )
  const listener = await openListener({ address: { host: '127.0.0.1', port: 0 } }, slot, deps)
  closers.push(() => void listener.close())
  return { listener, asked, records }
}

test('a forward proxy resolves the name a request is for, and says so when there is none', async () => {
  const app = await upstream(OK)
  const proxy = await forwarding({ 'app.test': '127.0.0.1', 'broken.test': new Error('SERVFAIL') })
  const get = (host: string) =>
    new Client(proxy).send(`GET http://${host}/a HTTP/1.1\r\nHost: other\r\n\r\n`)
  await get(`app.test:${app.port}`).sees(/200 OK[\s\S]*ok$/)
  assert.match(
    app.requests[0] ?? '',
    new RegExp(`^GET /a HTTP/1.1\r\nhost: app.test:${app.port}\r\n`, 'i'),
  )
  await get('nowhere.test').sees(/503 Service Unavailable[\s\S]*does not resolve\n$/)
  await get('broken.test').sees(/503 Service Unavailable[\s\S]*does not resolve\n$/)
  assert.deepEqual(proxy.asked, ['app.test', 'nowhere.test', 'broken.test'])
  assert.deepEqual(
    proxy.records.map(({ flags }) => flags),
    ['-', 'DF', 'DF'],
  )
})

test('a client that leaves while its name is looked up is not connected for', async () => {
  const app = await upstream(OK)
  const answer = Promise.withResolvers<string>()
  const proxy = await forwarding({ 'app.test': answer.promise })
  const client = new Client(proxy).send(
    `GET http://app.test:${app.port}/a HTTP/1.1\r\nHost: a\r\n\r\n`,
  )
  while (proxy.asked.length === 0) await new Promise(setImmediate)
  client.socket.resetAndDestroy()
  while (proxy.records.length === 0) await new Promise(setImmediate)
  answer.resolve('127.0.0.1')
  for (let i = 0; i < 20; i++) await new Promise(setImmediate)
  assert.equal(app.connections, 0)
  assert.equal(proxy.records[0]?.flags, 'DC')
})

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { Listener, ResourceSet } from '@weft/model'
import {
  adminGet,
  get,
  inboundTo,
  offer,
  openApp,
  openProxy,
  outboundTo,
  REVIEWS,
  until,
} from './test-proxy.ts'
import { listener, setOf, table } from './test-resources.ts'

const OUTBOUND = { outbound: { host: '127.0.0.1', port: 0 } }

describe('proxy', () => {
  test('who connects before the first configuration waits for it', async () => {
    const { port, server } = await openApp(() => 'hello')
    const { proxy, publish, health } = await openProxy('client', OUTBOUND)
    try {
      const early = get(proxy.outbound?.port ?? 0, 'http://reviews:9080/early')
      assert.equal((await adminGet(proxy, '/ready')).status, 503)
      publish(outboundTo(port, proxy))
      await proxy.ready
      assert.deepEqual([(await early).status, (await early).body], [200, 'hello'])
      assert.equal((await adminGet(proxy, '/ready')).body, 'LIVE\n')
      assert.deepEqual(health, ['waiting for the first configuration', 'healthy'])
    } finally {
      await proxy.close()
      server.close()
    }
  })

  test('two sidecars: both ends count the call with both names, the application hears nothing of it', async () => {
    const seen: IncomingHttpHeaders[] = []
    const app = await openApp((_path, headers) => {
      seen.push(headers)
      return 'reviews'
    })
    const server = await openProxy('reviews', { offers: [offer(app.port)] })
    const client = await openProxy('productpage', OUTBOUND)
    try {
      const [bound] = server.proxy.offers
      assert.ok(bound !== undefined && bound.listenPort > 0)
      server.publish(inboundTo(app.port, bound.listenPort))
      client.publish(outboundTo(bound.listenPort, client.proxy))
      await Promise.all([server.proxy.ready, client.proxy.ready])
      const answer = await get(client.proxy.outbound?.port ?? 0, 'http://reviews:9080/x', {
        'x-weft-peer': 'liar;liar;liar;liar;liar',
      })
      assert.equal(answer.body, 'reviews')
      assert.equal(seen[0]?.['x-weft-peer'], undefined)
      assert.equal(seen[0]?.host, 'reviews:9080')

      const atSource = await adminGet(client.proxy, '/stats/prometheus')
      assert.match(
        atSource.body,
        /^istio_requests_total\{reporter="source",source_workload="productpage",.*destination_workload="w",.*destination_service="reviews\.default\.svc\.cluster\.local",.*response_code="200".*\} 1$/m,
      )
      const atDestination = await adminGet(server.proxy, '/stats/prometheus')
      assert.match(
        atDestination.body,
        /^istio_requests_total\{reporter="destination",source_workload="productpage",.*destination_workload="reviews",.*connection_security_policy="none"\} 1$/m,
      )
      assert.match(atDestination.body, /^envoy_server_live 1$/m)
      const dump = await adminGet(client.proxy, '/config_dump?include_eds')
      assert.ok(dump.body.includes(REVIEWS))
      assert.ok(JSON.parse(dump.body))
      const clusters = await adminGet(client.proxy, '/clusters')
      assert.match(clusters.body, new RegExp(`127\\.0\\.0\\.1:${bound.listenPort}::rq_active::0`))
      const open = await adminGet(client.proxy, '/listeners')
      assert.match(open.body, /^weft:outbound::127\.0\.0\.1:\d+$/m)
    } finally {
      await Promise.all([client.proxy.close(), server.proxy.close()])
      app.server.close()
    }
  })

  test('every exchange is a line of the access log, on disk when the proxy is closed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'weft-log-'))
    const accessLog = join(folder, 'access.log')
    const app = await openApp(() => 'hello')
    const { proxy, publish } = await openProxy('client', { ...OUTBOUND, accessLog })
    try {
      publish(outboundTo(app.port, proxy))
      await proxy.ready
      const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
      const port = proxy.outbound?.port ?? 0
      await get(port, 'http://reviews:9080/one?x="y"', { traceparent })
      await proxy.close()
      const [line = '', rest] = (await readFile(accessLog, 'utf8')).split('\n')
      assert.equal(rest, '')
      assert.match(line, /"upstream_local_address":"127\.0\.0\.1:\d+"/)
      assert.partialDeepStrictEqual(JSON.parse(line), {
        method: 'GET',
        path: '/one?x="y"',
        authority: 'reviews:9080',
        response_code: 200,
        response_flags: '-',
        response_code_details: 'via_upstream',
        bytes_sent: 5,
        upstream_cluster: REVIEWS,
        upstream_host: `127.0.0.1:${app.port}`,
        route_name: 'default',
        trace_id: 'a'.repeat(32),
      })
    } finally {
      await proxy.close()
      app.server.close()
      await rm(folder, { recursive: true })
    }
  })

  test('peers hear that the application is there when it is, and not before', async () => {
    const app = await openApp(() => '')
    app.server.close()
    await once(app.server, 'close')
    const { proxy, publish, health } = await openProxy('reviews', { offers: [offer(app.port)] })
    const late = createServer((_request, response) => response.end())
    try {
      publish(inboundTo(app.port, proxy.offers[0]?.listenPort ?? 0))
      await proxy.ready
      await until(() => health.some((message) => message.includes('refuses connections')))
      assert.ok(!health.includes('healthy'))
      late.listen(app.port, '127.0.0.1')
      await until(() => health.includes('healthy'))
    } finally {
      await proxy.close()
      late.close()
    }
  })

  test('a hundred configurations close no connection', async () => {
    const app = await openApp(() => '')
    app.server.on('upgrade', (_request, socket) => {
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n',
      )
      socket.on('data', (bytes) => socket.write(bytes))
      socket.on('end', () => socket.end())
    })
    const { proxy, publish } = await openProxy('client', OUTBOUND)
    try {
      const base = outboundTo(app.port, proxy)
      const withUpgrades = (i: number): ResourceSet => {
        const [own] = base.listener.values()
        assert.ok(own)
        const filterChains = own.filterChains.map((chain) => ({
          ...chain,
          filter: { ...chain.filter, statPrefix: `s${i}`, upgrades: ['websocket'] },
        })) as Listener['filterChains']
        const changed = { ...own, filterChains }
        return {
          ...base,
          listener: new Map([[own.name, changed]]),
          route: new Map([['http_proxy', table([REVIEWS])]]),
        }
      }
      publish(withUpgrades(0))
      await proxy.ready
      const socket = connect(proxy.outbound?.port ?? 0, '127.0.0.1')
      let received = ''
      let closed = false
      socket.on('data', (bytes) => {
        received += bytes.toString()
      })
      socket.on('close', () => {
        closed = true
      })
      socket.write(
        'GET http://reviews:9080/ws HTTP/1.1\r\nhost: reviews:9080\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
      )
      await until(() => received.includes('101'))
      for (let i = 1; i <= 100; i++) {
        publish(withUpgrades(i))
        await new Promise((resolve) => setImmediate(resolve))
      }
      socket.write('still here')
      await until(() => received.endsWith('still here'))
      assert.equal(closed, false)
      socket.destroy()
    } finally {
      await proxy.close()
      app.server.closeAllConnections()
      app.server.close()
    }
  })

  test('a drain tells first, finishes what runs, and then is gone', async () => {
    let answer = (_text: string) => {}
    const app = await openApp(
      () =>
        new Promise<string>((resolve) => {
          answer = resolve
        }),
    )
    const { proxy, publish, health } = await openProxy('reviews', { offers: [offer(app.port)] })
    const port = proxy.offers[0]?.listenPort ?? 0
    publish(inboundTo(app.port, port))
    await proxy.ready
    await until(() => health.includes('healthy'))
    let arrived = false
    app.server.on('request', () => {
      arrived = true
    })
    const running = get(port, '/slow', { host: 'reviews' })
    await until(() => arrived)
    const drained = proxy.drain()
    assert.equal(health.at(-1), 'draining')
    assert.deepEqual((await adminGet(proxy, '/ready')).body, 'DRAINING\n')
    await until(() => !proxy.listeners().has('weft:inbound|9080'))
    answer('done')
    assert.equal((await running).body, 'done')
    assert.equal((await running).headers.connection, 'close')
    await drained
    await assert.rejects(get(port, '/'), /ECONNREFUSED/)
    app.server.close()
  })

  test('what does not end in time is cut', async () => {
    const app = await openApp(() => new Promise<string>(() => {}))
    const { proxy, publish } = await openProxy('reviews', {
      offers: [offer(app.port)],
      timings: { drainMs: 60 },
    })
    const port = proxy.offers[0]?.listenPort ?? 0
    publish(inboundTo(app.port, port))
    await proxy.ready
    const hung = get(port, '/', { host: 'reviews' })
    const failed = assert.rejects(hung)
    await once(app.server, 'request')
    await proxy.drain()
    await failed
    app.server.closeAllConnections()
    app.server.close()
  })

  test('a port that is taken keeps the proxy from being ready, says so, and is tried again', async () => {
    const app = await openApp(() => 'hello')
    const { proxy, publish, health } = await openProxy('gateway', { role: 'gateway' })
    try {
      publish(
        setOf({
          listener: [listener('0.0.0.0_80', 'outbound', app.port)],
          route: [table([REVIEWS])],
          cluster: [],
          endpoints: [],
        }),
      )
      await until(() => health.some((message) => /cannot bind .*EADDRINUSE/.test(message)))
      assert.equal((await adminGet(proxy, '/ready')).status, 503)
      app.server.close()
      await proxy.ready
      assert.equal(health.at(-1), 'healthy')
    } finally {
      await proxy.close()
    }
  })

  test('/quitquitquit drains, /drain_listeners stops accepting', async () => {
    const { proxy, publish } = await openProxy('client', OUTBOUND)
    publish(outboundTo(1, proxy))
    await proxy.ready
    const port = proxy.outbound?.port ?? 0
    assert.equal((await adminGet(proxy, '/drain_listeners', 'POST')).body, 'OK\n')
    await assert.rejects(get(port, '/'), /ECONNREFUSED/)
    assert.equal((await adminGet(proxy, '/quitquitquit', 'POST')).body, 'OK\n')
    await proxy.drain()
    await assert.rejects(adminGet(proxy, '/ready'), /ECONNREFUSED/)
  })
})

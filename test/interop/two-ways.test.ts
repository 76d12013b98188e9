/**
 * One service, two ways (F5): `cart` is reachable directly and has dialled out to a broker; `books`
 * only directly. Whoever calls, and by whichever way: one identity, one verdict, one trace.
 */
import assert from 'node:assert/strict'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import { connect } from '@weft/rsocket'
import { freePort } from '@weft/testkit'
import { eventually, type Running } from '../e2e/weft.ts'
import { type IdentityMesh, startIdentityMesh } from './identity-mesh.ts'

/** Only `web` may call, and only over mutual TLS. */
const RULES = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: callers, namespace: shop }
spec:
  action: ALLOW
  rules:
  - from: [{ source: { principals: [cluster.local/ns/shop/sa/web] } }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: secrets, namespace: shop }
spec:
  selector: { matchLabels: { app: stock } }
  action: DENY
  rules:
  - to: [{ operation: { paths: [/com.acme.Stock/secret] } }]
`

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const WEB = 'spiffe://cluster.local/ns/shop/sa/web'

interface Answer {
  readonly status: number
  readonly way: string
  /** As the application saw them. */
  readonly headers: Readonly<Record<string, string>>
}

describe('one service, two ways', () => {
  let mesh: IdentityMesh
  let broker = ''
  let admin = ''
  const callers = new Map<string, number>()
  const servers: Server[] = []

  const token = async (account: string) => {
    const words = ['token', 'create', '-n', 'shop', '--service-account', account]
    const made = await mesh.weft([...words, '--control', control()])
    assert.equal(made.exitCode, 0, made.errors)
    return made.output.trim()
  }
  const control = () => `127.0.0.1:${mesh.xdsPort}`

  /** Calls by HTTP proxy, as the application of that account does. */
  const ask = (caller: string, host: string, path = '/'): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const headers = { host, traceparent: `00-${TRACE}-00f067aa0ba902b7-01` }
      const port = callers.get(caller)
      const method = path === '/' ? 'GET' : 'POST'
      request(
        { host: '127.0.0.1', port, method, path: `http://${host}${path}`, headers, agent: false },
        (answer) => {
          let body = ''
          answer.setEncoding('utf8').on('data', (text: string) => {
            body += text
          })
          answer.on('error', reject)
          answer.on('end', () => {
            const { statusCode: status = 0, headers: sent } = answer
            const seen = status === 200 ? JSON.parse(body) : {}
            resolve({ status, way: String(sent['x-way'] ?? body), headers: seen })
          })
        },
      )
        .on('error', reject)
        .end()
    })

  /** By which way bytes came back over a WebSocket; else the status. */
  const echo = (caller: string, host: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const headers = {
        ...{ host, connection: 'Upgrade', upgrade: 'websocket' },
        ...{ 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' },
      }
      const port = callers.get(caller)
      const asked = request({ host: '127.0.0.1', port, path: '/', headers, agent: false })
      asked.on('error', reject)
      asked.on('response', (answer) => {
        answer.resume()
        resolve(String(answer.statusCode))
      })
      asked.on('upgrade', (answer, socket) => {
        socket.write('ping')
        socket.once('data', (bytes: Buffer) => {
          resolve(`${String(answer.headers['x-way'])} ${String(bytes)}`)
          socket.destroy()
        })
      })
      asked.end()
    })

  /** A caller that has dialled out. */
  const dialIn = async (account: string) => {
    const port = await freePort()
    await mesh.start(
      [
        ...['agent', '--broker', broker, '--service-account', account, '--control', control()],
        ...['--name', account, '-n', 'shop', '--outbound', `127.0.0.1:${port}`, '--json'],
      ],
      '"ready":true',
    )
    callers.set(`${account} dialled in`, port)
  }

  /** A caller with a sidecar. */
  const sidecar = async (account: string) => {
    const port = await freePort()
    await mesh.start(
      [
        ...['proxy', '--control', control(), '--name', account, '-n', 'shop'],
        ...['--service-account', account, '--outbound', `127.0.0.1:${port}`],
        ...['--admin', '127.0.0.1:0', '--state', join(mesh.folder, `state-${account}`)],
      ],
      'It has its configuration',
    )
    callers.set(account, port)
  }

  /** An application that says by which way it was asked. */
  const serve = (way: string): Promise<number> => {
    const server = createServer((asked, answer) => {
      answer.setHeader('x-way', way)
      answer.end(JSON.stringify(asked.headers))
    })
    server.on('upgrade', (_asked, socket: Duplex) => {
      const head = 'HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket'
      socket.write(`${head}\r\nx-way: ${way}\r\n\r\n`)
      socket.on('error', () => {})
      socket.pipe(socket)
    })
    servers.push(server)
    return new Promise((resolve) =>
      server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
    )
  }

  /** A sidecar by which the service is reached directly. */
  const direct = (service: string, appPort: number): Promise<Running> =>
    mesh.start(
      [
        ...['proxy', '--control', control(), '-n', 'shop', '--service', service, '--port', '9080'],
        ...['--service-account', service, '--app-port', String(appPort), '--outbound'],
        ...['127.0.0.1:0', '--admin', '127.0.0.1:0', '--name', `${service}-direct`],
        ...['--state', join(mesh.folder, `state-${service}`)],
      ],
      'It has its configuration',
    )

  let cart: Running
  let cartPort = 0

  before(async () => {
    mesh = await startIdentityMesh('two-ways')
    mesh.write('rules.yaml', RULES)
    const running = await mesh.start(
      [
        ...['broker', '--control', control(), '--state', join(mesh.folder, 'broker'), '--json'],
        ...['--listen', '127.0.0.1:0', '--listen-ws', 'off', '--admin', '127.0.0.1:0'],
      ],
      '"ready":true',
    )
    broker = /"tcp":"([^"]+)"/.exec(running.output())?.[1] ?? ''
    admin = /"admin":"([^"]+)"/.exec(running.output())?.[1] ?? ''
    await direct('books', await serve('direct'))
    cartPort = await serve('direct')
    cart = await direct('cart', cartPort)
    await mesh.start(
      [
        ...['agent', '--broker', broker, '--broker-token', await token('cart'), '-n', 'shop'],
        ...['--service', 'cart:9080', '--name', 'cart-dialled', '--no-outbound', '--json'],
        ...['--app-port', String(await serve('dialled'))],
      ],
      '"ready":true',
    )
    for (const account of ['web', 'mallory']) {
      await dialIn(account)
      await sidecar(account)
    }
  })

  after(async () => {
    await mesh[Symbol.asyncDispose]()
    for (const server of servers) {
      server.close()
      server.closeAllConnections()
    }
  })

  const isWeb = ({ headers }: Answer) => {
    assert.ok(headers.traceparent?.includes(TRACE), 'one trace')
    const element = headers['x-forwarded-client-cert']?.split(',').at(-1) ?? ''
    assert.ok(element.includes(`URI=${WEB}`), `the application sees who calls: ${element}`)
    assert.equal(headers['x-weft-peer'], undefined)
    assert.equal(headers['x-weft-caller'], undefined)
  }

  test('who dialled in calls who did not, as itself', async () => {
    const answer = await eventually(
      () => ask('web dialled in', 'books.shop:9080'),
      ({ status }) => status === 200,
    )
    assert.equal(answer.way, 'direct')
    isWeb(answer)
    assert.equal((await ask('mallory dialled in', 'books.shop:9080')).status, 403)
  })

  test('a broker is no way to what only it can reach', async () => {
    for (const host of [`127.0.0.1:${cartPort}`, `localhost:${mesh.adminPort}`]) {
      const { status } = await ask('web dialled in', host)
      assert.ok(status === 404 || status === 503, `${host}: ${status}`)
    }
  })

  test('a service with both ways is called directly, whoever calls', async () => {
    for (const caller of ['web', 'web dialled in']) {
      await eventually(
        () => ask(caller, 'cart.shop:9080'),
        ({ status }) => status === 200,
      )
      for (let i = 0; i < 10; i++) {
        const answer = await ask(caller, 'cart.shop:9080')
        assert.equal(answer.way, 'direct')
        isWeb(answer)
      }
    }
    for (const caller of ['mallory', 'mallory dialled in']) {
      assert.equal((await ask(caller, 'cart.shop:9080')).status, 403)
    }
  })

  test('the direct way is cut: the same calls go on by the broker, with the same verdicts', async () => {
    cart.process.kill('SIGKILL')
    await cart.finished
    for (let i = 0; i < 20; i++) {
      for (const caller of ['web', 'web dialled in']) {
        const answer = await ask(caller, 'cart.shop:9080')
        assert.deepEqual([answer.status, answer.way], [200, 'dialled'])
        isWeb(answer)
      }
      for (const caller of ['mallory', 'mallory dialled in']) {
        assert.equal((await ask(caller, 'cart.shop:9080')).status, 403)
      }
    }
  })

  test('WebSockets go each way, under the same verdicts', async () => {
    assert.equal(await echo('web', 'cart.shop:9080'), 'dialled ping')
    assert.equal(await echo('web dialled in', 'books.shop:9080'), 'direct ping')
    assert.equal(await echo('mallory', 'cart.shop:9080'), '403')
    assert.equal(await echo('mallory dialled in', 'books.shop:9080'), '403')
  })

  test('the broker counts what it passes on under the names of both', async () => {
    const body = await (await fetch(`${admin}/stats/prometheus`)).text()
    const counted = body
      .split('\n')
      .filter((line) => line.startsWith('istio_requests_total{'))
      .filter((line) => line.includes('reporter="destination"'))
      .filter((line) => line.includes('destination_workload="cart-dialled"'))
    const sources = counted.map((line) => /source_workload="([^"]*)"/.exec(line)?.[1])
    assert.deepEqual([...new Set(sources)].sort(), ['web'])
    const out = body
      .split('\n')
      .filter((line) => line.includes('reporter="source"'))
      .filter((line) => line.includes('destination_service_name="books"'))
    assert.ok(
      out.some((line) => line.includes('source_workload="web"')),
      'calls out, too',
    )
  })

  test('a service that speaks RSocket: its policy sees caller, service and method', async () => {
    const stock = await connect({
      ...{ brokers: `tcp://${broker}`, app: 'stock', namespace: 'shop', links: 1 },
      token: await token('stock'),
      services: { 'com.acme.Stock': { count: () => '{"n":"1"}', secret: () => '{}' } },
    })
    try {
      const api = (caller: string, method: string) =>
        ask(caller, 'stock.shop:80', `/api/com.acme.Stock/${method}`)
      const answer = await eventually(
        () => api('web', 'count'),
        ({ status }) => status === 200,
      )
      assert.deepEqual(answer.headers, { n: '1' })
      assert.equal((await api('web', 'secret')).status, 403)
      assert.equal((await api('mallory', 'count')).status, 403)
    } finally {
      await stock.close(0)
    }
  })

  test('a call in RSocket’s own form reaches a service of HTTP that did not dial in', async () => {
    for (const account of ['web', 'mallory']) {
      const client = await connect({
        ...{ brokers: `tcp://${broker}`, app: account, namespace: 'shop', links: 1 },
        token: await token(account),
      })
      try {
        const list = (service: string) => client.requestResponse(service, 'list', '{}')
        if (account === 'mallory') {
          await assert.rejects(list('books'), { code: 0x403 })
          continue
        }
        for (const service of ['books', 'books.shop']) {
          const headers = await eventually(
            () =>
              list(service).then(
                (answer) => answer.json(),
                () => undefined,
              ),
            (answer) => answer !== undefined,
          )
          const seen = headers as Readonly<Record<string, string>>
          assert.ok(seen['x-forwarded-client-cert']?.includes(`URI=${WEB}`), 'as itself')
          assert.equal(seen['x-rsocket-interaction'], 'rr')
        }
        await assert.rejects(list('com.acme.Nobody'), { code: 0x202, message: /WEFT-404/ })
      } finally {
        await client.close(0)
      }
    }
  })

  test('the direct way is back, and taken again', async () => {
    await direct('cart', cartPort)
    for (const caller of ['web', 'web dialled in']) {
      const answer = await eventually(
        () => ask(caller, 'cart.shop:9080'),
        ({ way }) => way === 'direct',
      )
      isWeb(answer)
    }
  })
})

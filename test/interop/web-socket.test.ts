/**
 * WebSockets of `ws`, client and server, through a gateway, through a sidecar, and through two
 * sidecars that speak HTTP/1.1 or HTTP/2 (extended CONNECT, RFC 8441) to each other.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect as connectHttp2 } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { eventually, freePort } from '@weft/testkit'
import { type RawData, WebSocket, WebSocketServer } from 'ws'
import { ask } from './ask.ts'
import { type Mesh, serviceYaml, startMesh } from './mesh.ts'
import { envoyCluster, envoyListener, missing, runEnvoy } from './peers.ts'

const SIZES = [0, 1, 125, 126, 65_535, 65_536, 1_000_000]
const FRAME = 'ws: one frame of ours, opcode text'

describe('ws', () => {
  const asked: { path: string; version: string; protocols: string; header: string }[] = []
  let server: WebSocketServer
  let mesh: Mesh
  let gateway = 0
  let sidecar = 0
  let inFront = 0
  let stopEnvoy = async () => {}

  before(async () => {
    server = new WebSocketServer({
      host: '127.0.0.1',
      port: 0,
      perMessageDeflate: { threshold: 0 },
      handleProtocols: (offered) => [...offered].at(-1) ?? false,
    })
    await once(server, 'listening')
    server.on('connection', (socket, request) => {
      asked.push({
        path: request.url ?? '',
        version: request.httpVersion,
        protocols: request.headers['sec-websocket-protocol'] ?? '',
        header: String(request.headers['x-mine'] ?? ''),
      })
      socket.on('message', (data: RawData, isBinary: boolean) => {
        if (!isBinary && String(data) === 'ping me') socket.ping('ball')
        else if (!isBinary && String(data) === 'leave') socket.close(4001, 'as you wish')
        else if (!isBinary && String(data) === 'cut') socket.terminate()
        else socket.send(data, { binary: isBinary })
      })
    })
    const app = (server.address() as AddressInfo).port
    mesh = await startMesh()
    gateway = await freePort()
    inFront = await freePort()
    const behind = await freePort()
    mesh.write('chat.yaml', chatYaml(gateway, app, behind))
    for (const name of ['pair', 'pair2']) {
      await mesh.startSidecar(name, ['--service', name, '--port', '80', '--app-port', `${app}`])
    }
    await mesh.startGateway('edge', ['--namespace', 'default'])
    if (missing('envoy') === false) {
      const config = join(mesh.folder, 'envoy.json')
      const static_resources = {
        listeners: [
          envoyListener('behind', behind, 'app'),
          envoyListener('in-front', inFront, 'gateway'),
        ],
        clusters: [envoyCluster('app', app), envoyCluster('gateway', gateway, true)],
      }
      writeFileSync(config, JSON.stringify({ static_resources }))
      stopEnvoy = await runEnvoy(config, [behind, inFront])
    }
    sidecar = (await mesh.startSidecar('caller')).port
    for (const [port, host] of [
      [gateway, 'chat.example'],
      [sidecar, 'chat.default.svc.cluster.local'],
      [sidecar, 'pair.default.svc.cluster.local'],
      [sidecar, 'upgraded.example'],
    ] as const) {
      // A server of ws answers requests without an upgrade with 426.
      await eventually(async () => {
        const { status, text } = await ask({ port, host })
        assert.equal(status, 426, `${host}: ${text}`)
      }, 20_000)
    }
  })
  after(async () => {
    for (const socket of server.clients) socket.terminate()
    server.close()
    await stopEnvoy()
    await mesh[Symbol.asyncDispose]()
  })

  const ways = [
    ['a gateway', () => gateway, 'chat.example'],
    ['a sidecar', () => sidecar, 'chat.default.svc.cluster.local'],
    ['two sidecars over HTTP/1.1', () => sidecar, 'pair.default.svc.cluster.local'],
    ['two sidecars over HTTP/2 by h2UpgradePolicy', () => sidecar, 'upgraded.example'],
    ['a gateway, and an Envoy that it reaches by HTTP/2', () => gateway, 'envoy.example'],
    ['an Envoy that reaches the gateway by HTTP/2', () => inFront, 'chat.example'],
  ] as const
  for (const [way, port, host] of ways) {
    const skip = way.includes('Envoy') ? missing('envoy') : false
    test(`through ${way}`, { skip }, async () => {
      const before = asked.length
      const socket = open(port(), host)
      await once(socket, 'open')
      assert.equal(socket.protocol, 'v2.chat')
      assert.match(socket.extensions, /permessage-deflate/)
      assert.deepEqual(asked.slice(before), [
        { path: '/room?x=1', version: '1.1', protocols: 'v1.chat,v2.chat', header: 'kept' },
      ])
      for (const size of SIZES) {
        const message = Buffer.alloc(size, `${size} bytes `)
        socket.send(message)
        const [data, isBinary] = (await once(socket, 'message')) as [Buffer, boolean]
        assert.ok(isBinary)
        assert.ok(data.equals(message), `${size} bytes came back as ${data.length}`)
      }
      for (let i = 0; i < 500; i++) socket.send(`${FRAME} ${i}`)
      for await (const [i, text] of counted(socket, 500)) assert.equal(text, `${FRAME} ${i}`)
      const pinged = once(socket, 'ping')
      socket.send('ping me')
      assert.equal(String((await pinged)[0]), 'ball')
      const ponged = once(socket, 'pong')
      socket.ping('mine')
      assert.equal(String((await ponged)[0]), 'mine')
      socket.send('leave')
      const [code, reason] = (await once(socket, 'close')) as [number, Buffer]
      assert.deepEqual([code, String(reason)], [4001, 'as you wish'])
    })

    test(`through ${way}: both ends see the other’s end, and nothing is left`, {
      skip,
    }, async () => {
      const sockets = await Promise.all(
        Array.from({ length: 20 }, async () => {
          const socket = open(port(), host)
          await once(socket, 'open')
          return socket
        }),
      )
      assert.equal(server.clients.size, 20)
      for (const [i, socket] of sockets.entries()) {
        const closed = once(socket, 'close')
        if (i % 3 === 0) socket.terminate()
        else if (i % 3 === 1) socket.send('cut')
        else socket.close(1000)
        const [code] = await closed
        assert.equal(code, i % 3 === 2 ? 1000 : 1006)
      }
      await eventually(() => assert.equal(server.clients.size, 0))
    })
  }

  test('a client of HTTP/2 opens one by extended CONNECT, the server is of HTTP/1.1', async () => {
    for (const [port, host] of [
      [gateway, 'chat.example'],
      [sidecar, 'upgraded.example'],
    ] as const) {
      const session = connectHttp2(`http://127.0.0.1:${port}`)
      try {
        const [settings] = (await once(session, 'remoteSettings')) as [
          { enableConnectProtocol?: boolean },
        ]
        assert.equal(settings.enableConnectProtocol, true)
        const stream = session.request(
          {
            ...{ ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http' },
            ...{ ':authority': host, ':path': '/over-h2', 'sec-websocket-version': '13' },
          },
          { endStream: false },
        )
        const [head] = (await once(stream, 'response')) as [Record<string, string>]
        assert.equal(head[':status'], 200)
        assert.equal(head['sec-websocket-accept'], undefined)
        assert.equal(asked.at(-1)?.path, '/over-h2')
        // A masked text frame, with a mask of zeros.
        const text = Buffer.from('hi over h2')
        stream.write(Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), text]))
        const [echo] = (await once(stream, 'data')) as [Buffer]
        assert.equal(echo.toString('utf8', 2), 'hi over h2')
        stream.destroy()
      } finally {
        session.destroy()
      }
    }
    await eventually(() => assert.equal(server.clients.size, 0))
  })

  test('a refusal reaches the client as it is', async () => {
    const socket = open(gateway, 'nobody.example')
    const [, response] = (await once(socket, 'unexpected-response')) as [
      unknown,
      { statusCode: number },
    ]
    assert.equal(response.statusCode, 404)
    socket.on('error', () => undefined)
    socket.terminate()
  })
})

function open(port: number, host: string): WebSocket {
  return new WebSocket(`ws://127.0.0.1:${port}/room?x=1`, ['v1.chat', 'v2.chat'], {
    headers: { host, 'x-mine': 'kept' },
    perMessageDeflate: { threshold: 0 },
    handshakeTimeout: 10_000,
  })
}

async function* counted(socket: WebSocket, count: number): AsyncGenerator<[number, string]> {
  const waiting: string[] = []
  let wake = () => {}
  const take = (data: RawData) => {
    waiting.push(String(data))
    wake()
  }
  socket.on('message', take)
  for (let i = 0; i < count; i++) {
    while (waiting.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    yield [i, waiting.shift() ?? '']
  }
  socket.off('message', take)
}

function chatYaml(port: number, app: number, envoy: number): string {
  return `${serviceYaml('chat', 'default', [{ name: 'http', port: 80, to: [app] }])}---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: ${port}, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: chat, namespace: default}
spec:
  hosts: [chat.example]
  gateways: [front]
  http: [{route: [{destination: {host: chat.default.svc.cluster.local}}]}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: envoy, namespace: default}
spec:
  hosts: [envoy.example]
  resolution: STATIC
  ports: [{number: 80, name: http2, protocol: HTTP2}]
  endpoints: [{address: 127.0.0.1, ports: {http2: ${envoy}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: envoy, namespace: default}
spec:
  hosts: [envoy.example]
  gateways: [front]
  http: [{route: [{destination: {host: envoy.example}}]}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: pair2, namespace: default}
spec:
  host: pair2.default.svc.cluster.local
  trafficPolicy: {connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: upgraded, namespace: default}
spec:
  hosts: [upgraded.example]
  http: [{route: [{destination: {host: pair2.default.svc.cluster.local, port: {number: 80}}}]}]
`
}

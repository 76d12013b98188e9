/**
 * gRPC of `@grpc/grpc-js`, client and server: all kinds of calls through a gateway in the clear and
 * over TLS, through a sidecar, and from nginx’ `grpc_pass` through a gateway.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import * as grpc from '@grpc/grpc-js'
import { createTestCa, eventually, freePort } from '@weft/testkit'
import { type Mesh, secretYaml, serviceYaml, startMesh } from './mesh.ts'
import { grpcFront, missing, type Peer } from './peers.ts'

const HOST = 'rpc.example'
const ca = createTestCa()
const certificate = ca.issue({ dns: [HOST] })
const LARGE = 4_000_000

const same = (value: Buffer) => value
const bytes = {
  ...{ requestSerialize: same, requestDeserialize: same },
  ...{ responseSerialize: same, responseDeserialize: same },
}
const path = (name: string) => `/test.Calls/${name}`
const service = {
  unary: { path: path('Unary'), requestStream: false, responseStream: false, ...bytes },
  pull: { path: path('Pull'), requestStream: false, responseStream: true, ...bytes },
  push: { path: path('Push'), requestStream: true, responseStream: false, ...bytes },
  chat: { path: path('Chat'), requestStream: true, responseStream: true, ...bytes },
  wait: { path: path('Wait'), requestStream: false, responseStream: true, ...bytes },
  shaky: { path: path('Shaky'), requestStream: false, responseStream: false, ...bytes },
} as const

/** What the server saw of calls that never end by themselves, and of those that are repeated. */
const cancelled: string[] = []
const attempts = new Map<string, number>()

const handlers: grpc.UntypedServiceImplementation = {
  unary(call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
    const head = new grpc.Metadata()
    for (const value of call.metadata.get('x-many')) head.add('x-many', value)
    for (const value of call.metadata.get('x-raw-bin')) head.add('x-raw-bin', value)
    call.sendMetadata(head)
    const trailer = new grpc.Metadata()
    trailer.set('x-length', String(call.request.length))
    if (call.request.equals(Buffer.from('fail'))) {
      const details = 'not möglich: 100 %'
      done({ code: grpc.status.RESOURCE_EXHAUSTED, details, metadata: trailer })
    } else done(null, call.request, trailer)
  },
  pull(call: grpc.ServerWritableStream<Buffer, Buffer>) {
    const count = Number(call.request.toString())
    for (let i = 0; i < count; i++) call.write(Buffer.alloc(i * 100, `${i % 10}`))
    call.end()
  },
  push(call: grpc.ServerReadableStream<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
    let length = 0
    let count = 0
    call.on('data', (message: Buffer) => {
      length += message.length
      count++
    })
    call.on('end', () => done(null, Buffer.from(`${count} ${length}`)))
  },
  chat(call: grpc.ServerDuplexStream<Buffer, Buffer>) {
    call.on('data', (message: Buffer) => call.write(message))
    call.on('end', () => call.end())
  },
  wait(call: grpc.ServerWritableStream<Buffer, Buffer>) {
    const name = call.request.toString()
    call.write(Buffer.from('began'))
    call.on('cancelled', () => cancelled.push(name))
  },
  shaky(call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
    const name = call.request.toString()
    const attempt = (attempts.get(name) ?? 0) + 1
    attempts.set(name, attempt)
    if (attempt < 3) done({ code: grpc.status.UNAVAILABLE, details: 'not yet' })
    else done(null, Buffer.from(`${attempt}`))
  },
}

describe('gRPC', () => {
  let server: grpc.Server
  let mesh: Mesh
  let nginx: Peer | undefined
  const ports = { gateway: 0, tls: 0, sidecar: 0, nginx: 0 }

  before(async () => {
    const most = { 'grpc.max_receive_message_length': 2 * LARGE }
    server = new grpc.Server(most)
    server.addService(service, handlers)
    const port = await new Promise<number>((resolve, reject) => {
      const insecure = grpc.ServerCredentials.createInsecure()
      server.bindAsync('127.0.0.1:0', insecure, (error, bound) =>
        error ? reject(error) : resolve(bound),
      )
    })
    ports.gateway = await freePort()
    ports.tls = await freePort()
    mesh = await startMesh()
    mesh.write('rpc.yaml', rpcYaml(port, ports.gateway, ports.tls))
    await mesh.startGateway('edge', ['--namespace', 'default'])
    ports.sidecar = (await mesh.startSidecar('caller')).port
    if (missing('nginx') === false) {
      nginx = await grpcFront(ports.gateway, mesh.folder)
      ports.nginx = nginx.ports.http2
    }
  })
  after(async () => {
    server.forceShutdown()
    await nginx?.[Symbol.asyncDispose]()
    await mesh[Symbol.asyncDispose]()
  })

  const ways = ['gateway', 'tls', 'sidecar', 'nginx'] as const
  for (const way of ways) {
    const skip = way === 'nginx' ? missing('nginx') : false
    describe(way === 'nginx' ? 'nginx before a gateway' : `through a ${way}`, { skip }, () => {
      let client: grpc.Client
      before(async () => {
        const credentials =
          way === 'tls'
            ? grpc.credentials.createSsl(Buffer.from(ca.caPem))
            : grpc.credentials.createInsecure()
        client = new grpc.Client(`127.0.0.1:${ports[way]}`, credentials, {
          'grpc.default_authority': HOST,
          'grpc.ssl_target_name_override': HOST,
          'grpc.max_receive_message_length': 2 * LARGE,
        })
        await eventually(async () => {
          const { status } = await unary(client, 'Unary', Buffer.from('there?'))
          assert.equal(status.code, grpc.status.OK, status.details)
        })
      })
      after(() => client.close())

      test('unary: messages, metadata of both directions, trailers', async () => {
        const metadata = new grpc.Metadata()
        metadata.add('x-many', 'one')
        metadata.add('x-many', 'two')
        metadata.add('x-raw-bin', Buffer.from([0, 255, 1, 254]))
        const { reply, head, status } = await unary(client, 'Unary', Buffer.from('hello'), {
          metadata,
        })
        assert.equal(String(reply), 'hello')
        assert.deepEqual(head.get('x-many').join(', '), 'one, two')
        assert.deepEqual(head.get('x-raw-bin'), [Buffer.from([0, 255, 1, 254])])
        assert.deepEqual(status.metadata.get('x-length'), ['5'])
      })

      test('unary: a status with its message and trailers', async () => {
        const { status } = await unary(client, 'Unary', Buffer.from('fail'))
        assert.equal(status.code, grpc.status.RESOURCE_EXHAUSTED)
        assert.equal(status.details, 'not möglich: 100 %')
        assert.deepEqual(status.metadata.get('x-length'), ['4'])
      })

      test('messages of 4 MB, several at once', async () => {
        const replies = await Promise.all(
          [1, 2, 3].map((n) => unary(client, 'Unary', Buffer.alloc(LARGE, `${n}`))),
        )
        for (const [i, { reply, status }] of replies.entries()) {
          assert.equal(status.code, grpc.status.OK, status.details)
          assert.ok(reply?.equals(Buffer.alloc(LARGE, `${i + 1}`)))
        }
      })

      test('a stream of the server, of the client, of both', async () => {
        const pull = client.makeServerStreamRequest(path('Pull'), same, same, Buffer.from('300'))
        let next = 0
        for await (const message of pull) assert.equal(message.length, 100 * next++)
        assert.equal(next, 300)

        const counted = await new Promise<string>((resolve, reject) => {
          const push = client.makeClientStreamRequest(path('Push'), same, same, (error, value) =>
            error ? reject(error) : resolve(String(value)),
          )
          for (let i = 0; i < 200; i++) push.write(Buffer.alloc(1_000, 'p'))
          push.end()
        })
        assert.equal(counted, '200 200000')

        const chat = client.makeBidiStreamRequest(path('Chat'), same, same)
        for (let i = 0; i < 50; i++) {
          chat.write(Buffer.from(`m${i}`))
          const [message] = (await once(chat, 'data')) as [Buffer]
          assert.equal(message.toString(), `m${i}`)
        }
        chat.end()
        const [status] = (await once(chat, 'status')) as [grpc.StatusObject]
        assert.equal(status.code, grpc.status.OK)
      })

      test('a cancelled stream and a deadline end the call at the server', async () => {
        for (const how of ['cancel', 'deadline']) {
          const name = `${way} ${how}`
          const options = how === 'deadline' ? { deadline: Date.now() + 500 } : {}
          const call = client.makeServerStreamRequest(
            ...([path('Wait'), same, same, Buffer.from(name), options] as const),
          )
          call.on('error', () => undefined)
          const ended = new Promise<grpc.StatusObject>((resolve) => call.on('status', resolve))
          await once(call, 'data')
          if (how === 'cancel') call.cancel()
          const status = await ended
          const { CANCELLED, DEADLINE_EXCEEDED } = grpc.status
          assert.equal(status.code, how === 'cancel' ? CANCELLED : DEADLINE_EXCEEDED)
          await eventually(() => assert.ok(cancelled.includes(name), name))
        }
      })

      test('UNAVAILABLE is repeated where the route says so, and told where it does not', async () => {
        const { reply, status } = await unary(client, 'Shaky', Buffer.from(`${way} repeated`))
        assert.deepEqual([status.code, String(reply)], [grpc.status.OK, '3'])
        const metadata = new grpc.Metadata()
        metadata.set('x-no-retries', '1')
        const once = await unary(client, 'Shaky', Buffer.from(`${way} once`), { metadata })
        assert.equal(once.status.code, grpc.status.UNAVAILABLE)
        assert.equal(attempts.get(`${way} once`), 1)
      })

      test('a method that no route has', async () => {
        const { status } = await unary(client, '../test.Other/None', Buffer.from('x'))
        assert.equal(status.code, grpc.status.UNIMPLEMENTED)
      })
    })
  }
})

interface Finished {
  readonly reply: Buffer | undefined
  readonly head: grpc.Metadata
  readonly status: grpc.StatusObject
}

function unary(
  client: grpc.Client,
  name: string,
  message: Buffer,
  { metadata = new grpc.Metadata() } = {},
): Promise<Finished> {
  return new Promise((resolve) => {
    let reply: Buffer | undefined
    let head = new grpc.Metadata()
    const method = name.startsWith('../') ? name.slice(2) : path(name)
    const options = { deadline: Date.now() + 20_000 }
    const call = client.makeUnaryRequest(
      ...([method, same, same, message, metadata, options] as const),
      (_, value) => {
        reply = value
      },
    )
    call.on('metadata', (got) => {
      head = got
    })
    call.on('status', (status) => setImmediate(() => resolve({ reply, head, status })))
  })
}

function rpcYaml(app: number, gateway: number, tls: number): string {
  return `${serviceYaml('rpc', 'default', [{ name: 'grpc', port: 9000, to: [app] }])}---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: ${gateway}, name: grpc, protocol: GRPC}, hosts: ["*"]}
  - {port: {number: ${tls}, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: SIMPLE, credentialName: front}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: rpc, namespace: default, annotations: {weft.io/retry-non-idempotent: "true"}}
spec:
  hosts: [${HOST}]
  gateways: [front, mesh]
  http:
  - match: [{uri: {prefix: /test.Calls/}, headers: {x-no-retries: {}}}]
    route: [{destination: {host: rpc.default.svc.cluster.local, port: {number: 9000}}}]
    retries: {attempts: 0}
  - match: [{uri: {prefix: /test.Calls/}}]
    route: [{destination: {host: rpc.default.svc.cluster.local, port: {number: 9000}}}]
    retries: {attempts: 3, retryOn: unavailable}
${secretYaml('front', 'default', { 'tls.crt': certificate.certPem, 'tls.key': certificate.keyPem })}`
}

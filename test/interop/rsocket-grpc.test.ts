/**
 * gRPC of `@grpc/grpc-js` between applications that dialled out: all four kinds of calls, from a
 * caller behind an agent and from one behind a sidecar, with status, trailers and cancellation.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as grpc from '@grpc/grpc-js'
import { freePort } from '@weft/testkit'
import { eventually } from '../e2e/weft.ts'
import { type IdentityMesh, startIdentityMesh } from './identity-mesh.ts'

const LARGE = 3_000_000
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
} as const

let cancelled = 0

const handlers: grpc.UntypedServiceImplementation = {
  unary(call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
    const trailer = new grpc.Metadata()
    trailer.set('x-length', String(call.request.length))
    if (call.request.equals(Buffer.from('fail'))) {
      done({ code: grpc.status.RESOURCE_EXHAUSTED, details: 'too much', metadata: trailer })
    } else done(null, call.request, trailer)
  },
  pull(call: grpc.ServerWritableStream<Buffer, Buffer>) {
    for (let i = 0; i < Number(call.request.toString()); i++) call.write(Buffer.alloc(i * 100, 'x'))
    call.end()
  },
  push(call: grpc.ServerReadableStream<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
    let length = 0
    call.on('data', (message: Buffer) => {
      length += message.length
    })
    call.on('end', () => done(null, Buffer.from(String(length))))
  },
  chat(call: grpc.ServerDuplexStream<Buffer, Buffer>) {
    call.on('data', (message: Buffer) => call.write(Buffer.from(message.toString().toUpperCase())))
    call.on('end', () => call.end())
  },
  wait(call: grpc.ServerWritableStream<Buffer, Buffer>) {
    // A connection of HTTP/1.1 that its client has ended is known to be gone when it is written to.
    const timer = setInterval(() => call.write(Buffer.from('tick')), 10)
    call.on('cancelled', () => {
      clearInterval(timer)
      cancelled++
    })
  },
}

type Client = grpc.Client & {
  unary(request: Buffer, done: grpc.requestCallback<Buffer>): grpc.ClientUnaryCall
  pull(request: Buffer): grpc.ClientReadableStream<Buffer>
  push(done: grpc.requestCallback<Buffer>): grpc.ClientWritableStream<Buffer>
  chat(): grpc.ClientDuplexStream<Buffer, Buffer>
  wait(request: Buffer): grpc.ClientReadableStream<Buffer>
}
const Calls = grpc.makeGenericClientConstructor(service, 'test.Calls')

describe('gRPC between applications that dialled out', () => {
  let mesh: IdentityMesh
  const server = new grpc.Server()
  const clients = new Map<string, Client>()
  const opened: Client[] = []

  const open = (name: string, port: number) => {
    const client = new Calls(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
      'grpc.default_authority': 'calls.shop:50051',
    }) as unknown as Client
    clients.set(name, client)
    opened.push(client)
  }

  const unary = (client: Client | undefined, request: Buffer) =>
    new Promise<{ error: grpc.ServiceError | null; answer: Buffer; trailer: grpc.Metadata }>(
      (resolve) => {
        let told: [grpc.ServiceError | null, Buffer] = [null, Buffer.alloc(0)]
        client
          ?.unary(request, (error, answer = Buffer.alloc(0)) => {
            told = [error, answer]
          })
          .on('status', ({ metadata: trailer }) => {
            const [error, answer] = told
            resolve({ error, answer, trailer })
          })
      },
    )

  before(async () => {
    mesh = await startIdentityMesh('rsocket-grpc')
    const control = `127.0.0.1:${mesh.xdsPort}`
    server.addService(service, handlers)
    const appPort = await new Promise<number>((resolve, reject) => {
      const credentials = grpc.ServerCredentials.createInsecure()
      server.bindAsync('127.0.0.1:0', credentials, (error, port) =>
        error === null ? resolve(port) : reject(error),
      )
    })
    const running = await mesh.start(
      [
        ...['broker', '--control', control, '--state', join(mesh.folder, 'broker'), '--json'],
        ...['--listen', '127.0.0.1:0', '--listen-ws', 'off', '--admin', '127.0.0.1:0'],
      ],
      '"ready":true',
    )
    const broker = /"tcp":"([^"]+)"/.exec(running.output())?.[1] ?? ''
    const agent = ['agent', '--broker', broker, '--control', control, '-n', 'shop', '--json']
    await mesh.start(
      [
        ...agent,
        ...['--service-account', 'calls', '--service', 'calls:50051', '--protocol', 'grpc'],
        ...['--app-port', String(appPort), '--no-outbound'],
      ],
      '"ready":true',
    )
    const [dialled, sidecar] = [await freePort(), await freePort()]
    const caller = ['--service-account', 'web', '--name', 'web']
    await mesh.start([...agent, ...caller, '--outbound', `127.0.0.1:${dialled}`], '"ready":true')
    open('an agent', dialled)
    await mesh.start(
      [
        ...['proxy', '--control', control, '-n', 'shop', ...caller],
        ...['--outbound', `127.0.0.1:${sidecar}`, '--admin', '127.0.0.1:0'],
        ...['--state', join(mesh.folder, 'state-web')],
      ],
      'It has its configuration',
    )
    open('a sidecar', sidecar)
    for (const client of opened) {
      await eventually(
        () => unary(client, Buffer.from('ready')),
        ({ error }) => error === null,
      )
    }
  })

  after(async () => {
    for (const client of opened) client.close()
    server.forceShutdown()
    await mesh[Symbol.asyncDispose]()
  })

  for (const name of ['an agent', 'a sidecar']) {
    test(`unary by ${name}: large messages, trailers, the application's own status`, async () => {
      const client = clients.get(name)
      const large = Buffer.alloc(LARGE, 'l')
      const { error, answer, trailer } = await unary(client, large)
      assert.equal(error, null)
      assert.ok(answer.equals(large))
      assert.deepEqual(trailer.get('x-length'), [String(LARGE)])
      const failed = await unary(client, Buffer.from('fail'))
      assert.equal(failed.error?.code, grpc.status.RESOURCE_EXHAUSTED)
      assert.equal(failed.error?.details, 'too much')
    })

    test(`streams by ${name}: each way, and both at once`, async () => {
      const client = clients.get(name)
      assert.ok(client)
      const pulled: number[] = []
      for await (const message of client.pull(Buffer.from('300'))) pulled.push(message.length)
      assert.equal(pulled.length, 300)
      assert.equal(pulled.at(-1), 29_900)
      const pushed = await new Promise<Buffer | undefined>((resolve, reject) => {
        const call = client.push((error, answer) =>
          error === null ? resolve(answer) : reject(error),
        )
        for (let i = 0; i < 200; i++) call.write(Buffer.alloc(10_000, 'p'))
        call.end()
      })
      assert.equal(pushed?.toString(), '2000000')
      const chat = client.chat()
      const said: string[] = []
      chat.write(Buffer.from('one'))
      for await (const message of chat) {
        said.push(String(message))
        if (said.length === 1) chat.write(Buffer.from('two'))
        else chat.end()
      }
      assert.deepEqual(said, ['ONE', 'TWO'])
    })

    test(`a call that ${name} gives up ends at the application`, async () => {
      const before = cancelled
      const call = clients.get(name)?.wait(Buffer.from('x'))
      assert.ok(call)
      call.on('error', () => {})
      await new Promise((resolve) => call.once('data', resolve))
      call.cancel()
      await eventually(
        () => cancelled,
        (now) => now === before + 1,
      )
    })
  }
})

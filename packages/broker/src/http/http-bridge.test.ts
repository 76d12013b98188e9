import assert from 'node:assert/strict'
import { Agent, request as askHttp, createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import { createHandleTransport } from '@weft/net'
import { Link, openCarrier } from '@weft/rsocket/link'
import { eventually } from '@weft/testkit'
import { Broker } from '../broker.ts'
import { callHttp } from './call-http.ts'
import { serveHttp } from './serve-http.ts'

/** application ◄─HTTP─ link ◄─RSocket─ broker ◄─RSocket─ link ◄─HTTP─ caller */
let application: Server
let front: Server
let broker: Broker
let links: Link[] = []
const agent = new Agent({ keepAlive: true })

before(async () => {
  application = createServer((request, response) => {
    if (request.url === '/large') {
      response.end(Buffer.alloc(3_000_000, 'l'))
      return
    }
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      response.writeHead(request.url === '/teapot' ? 418 : 200, [
        ...['x-seen', `${request.method} ${request.url} ${request.headers.host}`],
        ...['set-cookie', 'a=1', 'set-cookie', 'b=2', 'trailer', 'x-sum'],
        ...['x-hop', String(request.headers['x-hop'])],
      ])
      response.write(`${body.length}`)
      response.addTrailers({ 'x-sum': `${body.length}` })
      response.end()
    })
  })
  const appPort = await listen(application)
  broker = new Broker(
    { id: 'b' },
    {
      transport: createHandleTransport(),
      clock: realClock,
      log: silentLogger,
      random: Math.random,
    },
  )
  const address = await broker.listen({ kind: 'tcp', address: { host: '127.0.0.1', port: 0 } })
  const link = (hello: object, onRequest: Parameters<typeof callHttp>[2] | undefined) => {
    const made = new Link(
      {
        broker: 'b',
        dial: (handler) => openCarrier({ kind: 'tcp', address }, handler),
        hello: () => ({ v: 1, ...hello }),
      },
      {
        ...{ clock: realClock, log: silentLogger, random: Math.random },
        onRequest: (stream, payload) =>
          onRequest === undefined
            ? stream.fail(0x204, 'nobody here')
            : callHttp(stream, payload, onRequest),
      },
    )
    made.open()
    links.push(made)
    return made
  }
  link(
    { instance: 'app', app: 'app', services: [{ name: 'reviews' }], features: ['http'] },
    { application: { host: '127.0.0.1', port: appPort }, agent },
  )
  const caller = link({ instance: 'caller', app: 'caller' }, undefined)
  front = createServer((request, response) =>
    serveHttp(request, response, {
      pick: (tried) => (tried.length === 0 ? caller.peer : undefined),
      admitRetry: () => true,
    }),
  )
  await listen(front)
  await eventually(() => assert.ok(links.every(({ peer }) => peer !== undefined)))
})

after(() => {
  for (const link of links) link.close()
  links = []
  broker.close()
  agent.destroy()
  for (const server of [application, front]) {
    server.close()
    server.closeAllConnections()
  }
})

function listen(server: Server): Promise<number> {
  return new Promise((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
  )
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: Buffer
  readonly trailers: Readonly<Record<string, string | undefined>>
}

function ask(path: string, body?: Buffer, headers: Record<string, string> = {}): Promise<Answer> {
  const { port } = front.address() as AddressInfo
  return new Promise((resolve, reject) => {
    const request = askHttp(
      {
        ...{ host: '127.0.0.1', port, path, method: body === undefined ? 'GET' : 'POST' },
        headers: { host: 'reviews', ...headers },
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
            trailers: response.trailers,
          }),
        )
      },
    )
    request.on('error', reject)
    request.end(body)
  })
}

test('a request and its answer, with repeated fields, trailers and what is for one hop left behind', async () => {
  const answer = await ask('/a?b=c', undefined, { connection: 'x-hop', 'x-hop': 'secret' })
  assert.equal(answer.status, 200)
  assert.equal(answer.headers['x-seen'], 'GET /a?b=c reviews')
  assert.deepEqual(answer.headers['set-cookie'], ['a=1', 'b=2'])
  assert.equal(answer.headers['x-hop'], 'undefined')
  assert.equal(answer.body.toString(), '0')
})

test('small bodies, bodies that go on, and large answers', async () => {
  assert.equal((await ask('/', Buffer.from('small'))).body.toString(), '5')
  assert.equal((await ask('/', Buffer.alloc(2_000_000, 'u'))).body.toString(), '2000000')
  const { body } = await ask('/large')
  assert.ok(body.equals(Buffer.alloc(3_000_000, 'l')))
  assert.equal((await ask('/teapot')).status, 418, 'statuses of the application are its own')
  await eventually(() => assert.equal(broker.openStreams, 0))
})

test('nobody offers the service: 404, and another try does no harm', async () => {
  const answer = await ask('/', undefined, { host: 'nobody' })
  assert.equal(answer.status, 404)
  assert.equal(answer.headers['x-weft-retry-safe'], '1')
})

test('an application that does not listen: 503', async () => {
  const port = (application.address() as AddressInfo).port
  application.close()
  application.closeAllConnections()
  agent.destroy()
  const answer = await ask('/')
  assert.equal(answer.status, 503)
  await new Promise<void>((resolve) => application.listen(port, '127.0.0.1', resolve))
  assert.equal((await ask('/')).status, 200)
})

test('the broker restarts: links come back by themselves', async () => {
  for (const leg of broker.legs) leg.abort('test')
  await eventually(async () => assert.equal((await ask('/')).status, 200))
})

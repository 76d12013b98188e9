import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { after, before, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import { createHandleTransport } from '@weft/net'
import { eventually } from '@weft/testkit'
import { Broker } from '../broker.ts'
import { HttpAgent } from './http-agent.ts'

const deps = { clock: realClock, log: silentLogger, random: Math.random }
const opened: Duplex[] = []
let ended = 0
let application: Server
let broker: Broker
let server: HttpAgent
let caller: HttpAgent

/** Agrees to echo bytes, but for `/no`; says hello first at `/hello`. */
before(async () => {
  application = createServer((asked, answer) => {
    answer.writeHead(asked.headers.upgrade === undefined ? 200 : 426, { 'x-path': asked.url ?? '' })
    answer.end('plain')
  })
  application.on('upgrade', (asked, socket: Duplex) => {
    opened.push(socket)
    socket.on('error', () => {})
    socket.once('close', () => {
      ended++
    })
    if (asked.url === '/no') {
      socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno')
      return
    }
    const accept = `sec-websocket-accept: ${asked.headers['sec-websocket-key']}`
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n${accept}\r\n\r\n`,
    )
    if (asked.url === '/hello') socket.write('hello')
    if (asked.url !== '/silent') socket.pipe(socket)
    else socket.resume().once('end', () => socket.end())
  })
  await new Promise<void>((resolve) => application.listen(0, '127.0.0.1', resolve))
  broker = new Broker({ id: 'b' }, { transport: createHandleTransport(), ...deps })
  const address = await broker.listen({ kind: 'tcp', address: { host: '127.0.0.1', port: 0 } })
  const common = {
    ...{ brokers: [{ kind: 'tcp', address }] as const, links: 1, namespace: 'default' },
    ...{ labels: {}, zone: '' },
  }
  const { port } = application.address() as AddressInfo
  server = new HttpAgent(
    {
      ...{ ...common, instance: 's', app: 'chat', services: [{ name: 'chat', port: 80 }] },
      application: { host: '127.0.0.1', port },
    },
    deps,
  )
  const outbound = { host: '127.0.0.1', port: 0 }
  caller = new HttpAgent({ ...common, instance: 'c', app: 'web', services: [], outbound }, deps)
  for (const agent of [server, caller]) await agent.open()
  await eventually(() => assert.equal(server.status().isApplicationUp, true))
  await eventually(async () => assert.equal((await ask('/ready', {})).status, 200))
})

after(() => {
  for (const agent of [server, caller]) agent.close()
  broker.close()
  application.close()
  application.closeAllConnections()
  for (const socket of opened) socket.destroy()
})

interface Answer {
  readonly status: number
  readonly accept: string
  readonly body: string
  readonly socket: Duplex | undefined
}

const WEBSOCKET = {
  ...{ connection: 'Upgrade', upgrade: 'websocket' },
  ...{ 'sec-websocket-version': '13', 'sec-websocket-key': 'a2V5' },
}

function ask(path: string, headers: Readonly<Record<string, string>>): Promise<Answer> {
  const { host = '', port = 0 } = caller.outbound ?? {}
  return new Promise((resolve, reject) => {
    const asked = request({ host, port, path: `http://chat${path}`, headers, agent: false })
    asked.on('error', reject)
    asked.on('upgrade', ({ statusCode: status = 0, headers: sent }, socket, early) => {
      const accept = String(sent['sec-websocket-accept'])
      socket.unshift(early)
      resolve({ status, accept, body: '', socket })
    })
    asked.on('response', (answer) => {
      let body = ''
      answer.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      answer.on('end', () => {
        resolve({ status: answer.statusCode ?? 0, accept: '', body, socket: undefined })
      })
    })
    asked.end()
  })
}

test('a WebSocket is one over the broker: bytes each way, by whoever begins, until one side ends', async () => {
  const { status, accept, socket } = await ask('/hello', WEBSOCKET)
  assert.ok(socket)
  assert.equal(status, 101)
  assert.equal(accept, 'a2V5')
  assert.equal(String((await once(socket, 'data'))[0]), 'hello')
  const large = Buffer.alloc(500_000, 'w')
  socket.write(large)
  let got = 0
  for await (const chunk of socket) {
    got += (chunk as Buffer).length
    if (got === large.length) socket.end()
  }
  assert.equal(got, large.length)
  await eventually(() => assert.equal(ended, 1))
  assert.equal(broker.openStreams, 0)
})

test('the answer comes though nobody says anything, and a client that goes is heard of', async () => {
  const { socket } = await ask('/silent', WEBSOCKET)
  assert.ok(socket)
  const before = ended
  socket.destroy()
  await eventually(() => assert.equal(ended, before + 1))
})

test('an application that does not agree is heard, and h2c is no WebSocket', async () => {
  assert.deepEqual(await ask('/no', WEBSOCKET), {
    ...{ status: 403, accept: '', body: 'no', socket: undefined },
  })
  const other = await ask('/plain', { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c' })
  assert.deepEqual([other.status, other.body], [200, 'plain'])
  await eventually(() => assert.equal(broker.openStreams, 0))
})

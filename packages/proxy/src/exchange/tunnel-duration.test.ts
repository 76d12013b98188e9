/** `max_stream_duration` holds for streams that became tunnels, and `max_requests_per_connection` for HTTP/2. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { after, test } from 'node:test'
import type { HttpConnectionManager, RouteAction } from '@weft/model'
import { eventually } from '@weft/testkit'
import { type Hop, hop, Opened } from './scripted-chain.ts'

const opened = new Opened()
after(() => opened.close())

const SWITCHES =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
const ANSWERS = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** A proxy before an application that says the same to everything. */
async function fixture(
  answer: string,
  action: Partial<RouteAction>,
  manager: Partial<HttpConnectionManager> = {},
): Promise<Hop> {
  const app = createServer((socket: Socket) => {
    opened.add(() => socket.destroy())
    socket.on('error', () => undefined)
    socket.on('data', () => socket.write(answer))
  }).listen(0, '127.0.0.1')
  await once(app, 'listening')
  opened.add(() => app.close())
  return hop(opened, [(app.address() as AddressInfo).port], { action, manager })
}

for (const [where, action, manager] of [
  ['the route', { maxStreamDurationMs: 300 }, {}],
  ['the listener', {}, { maxStreamDurationMs: 300 }],
] as const) {
  test(`a WebSocket ends when it lasted as long as ${where} says`, async () => {
    const { port, ended } = await fixture(SWITCHES, action, manager)
    const socket = connect(port, '127.0.0.1')
    opened.add(() => socket.destroy())
    socket.on('error', () => undefined)
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    const [head] = await once(socket, 'data')
    assert.match(String(head), /^HTTP\/1\.1 101 /)
    await once(socket, 'close')
    await eventually(() => assert.equal(ended[0]?.responseFlags, 'DT'))
  })
}

test('an HTTP/2 client is told to go after as many requests as a connection may carry', async () => {
  const { port } = await fixture(ANSWERS, {}, { maxRequestsPerConnection: 2 })
  const session = connectHttp2(`http://127.0.0.1:${port}`)
  opened.add(() => session.destroy())
  let goaways = 0
  session.on('goaway', () => {
    goaways++
  })
  const ask = async () => {
    const stream = session.request({ ':path': '/' })
    const [headers] = await once(stream, 'response')
    stream.resume()
    await once(stream, 'close')
    return headers[':status']
  }
  assert.equal(await ask(), 200)
  assert.equal(goaways, 0)
  const told = once(session, 'goaway')
  assert.equal(await ask(), 200)
  await told
})

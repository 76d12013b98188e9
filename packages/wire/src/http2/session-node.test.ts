import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2 from 'node:http2'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import type { Http2Options } from './contract.ts'
import { Http2Session } from './session.ts'
import { Recorder } from './session-fixture.ts'
import type { Http2Stream } from './stream.ts'

const text = (value: string) => Buffer.from(value, 'latin1')

/** A session of ours on one end of a connection, flushed once per turn, as its owner in the proxy does. */
function ours(
  pipe: Socket,
  told: Recorder,
  options: Partial<Http2Options> & { role: 'server' | 'client' },
) {
  const session = new Http2Session(told, { now: () => performance.now(), ...options })
  told.session = session
  const flush = () => {
    const bytes = Buffer.from(session.out.bytes.subarray(0, session.out.length))
    session.out.clear()
    if (bytes.length > 0 && !pipe.destroyed) pipe.write(bytes)
    session.drained()
  }
  told.onOutput = () => {
    setImmediate(flush)
  }
  pipe.on('data', (bytes: Buffer) => session.receive(bytes, bytes.length))
  session.start()
  return session
}

test('node:http2 as client: bodies both ways, trailers, many streams at once', async () => {
  const told = new Recorder()
  const server = createServer((socket) => {
    ours(socket, told, { role: 'server', streamWindowBytes: 70_000 })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const echo = (stream: Http2Stream) => {
    const { session } = told
    assert.ok(session)
    const body = text(told.bodies.get(stream.id) ?? '')
    const length = `content-length: ${body.length}`
    const head = text(`HTTP/1.1 200 OK\r\n${length}\r\nset-cookie: a\r\nset-cookie: b\r\n\r\n`)
    session.sendResponseText(stream, head, 0, head.length, false)
    session.sendData(stream, body, 0, body.length, false)
    session.sendTrailers(stream, text('x-trailer: 1\r\n'), 0, 14)
  }
  const { onData } = told
  told.onData = (stream, bytes, from, to, ends) => {
    onData.call(told, stream, bytes, from, to, ends)
    if (ends) echo(stream)
  }
  const client = http2.connect(`http://127.0.0.1:${port}`)
  const answers = Array.from({ length: 40 }, async (_, i) => {
    const request = client.request({ ':method': 'POST', ':path': `/${i}`, 'x-i': String(i) })
    const body = 'x'.repeat(i * 10_000)
    request.end(body)
    let got = ''
    request.setEncoding('latin1')
    request.on('data', (chunk: string) => {
      got += chunk
    })
    let trailers: http2.IncomingHttpHeaders = {}
    request.on('trailers', (fields) => {
      trailers = fields
    })
    const [head] = (await once(request, 'response')) as [http2.IncomingHttpHeaders]
    if (!request.readableEnded) await once(request, 'end')
    assert.equal(got, body)
    assert.deepEqual(head['set-cookie'], ['a', 'b'])
    assert.equal(trailers['x-trailer'], '1')
  })
  await Promise.all(answers)
  client.close()
  await once(client, 'close')
  server.close()
})

test('node:http2 as server: bodies both ways, trailers, interim answers', async () => {
  const server = http2.createServer()
  server.on('stream', (stream: http2.ServerHttp2Stream, fields) => {
    stream.additionalHeaders({ ':status': 103, link: '</a>' })
    stream.respond(
      { ':status': 200, 'x-path': fields[':path'], 'x-agent': fields['user-agent'] },
      { waitForTrailers: true },
    )
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.pipe(stream)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const mine = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const told = new Recorder()
  const session = ours(mine, told, { role: 'client' })
  const settings = new Promise<void>((resolve) => {
    told.onSettings = resolve
  })
  await settings
  const body = Buffer.alloc(300_000, 0x62)
  const streams = Array.from({ length: 20 }, (_, i) => {
    const head = text(`POST /${i} HTTP/1.1\r\nhost: weft.test\r\nuser-agent: weft\r\n\r\n`)
    const stream = session.sendRequestText('http', head, 0, head.length, false)
    assert.ok(stream)
    session.sendData(stream, body, 0, body.length, true)
    return stream
  })
  let closed = 0
  await new Promise<void>((resolve) => {
    told.onStreamClosed = () => {
      if (++closed === streams.length) resolve()
    }
  })
  for (const { id } of streams) {
    assert.equal(told.bodies.get(id)?.length, body.length)
    assert.ok(told.log.includes(`trailers ${id} "grpc-status: 0\\r\\n"`))
    assert.ok(told.log.some((line) => line.startsWith(`interim ${id} "HTTP/1.1 103`)))
    assert.match(told.text(id), new RegExp(`^HTTP/1.1 200 \\r\\n[^]*x-path: /${(id - 1) / 2}\r\n`))
  }
  mine.end()
  server.close()
})

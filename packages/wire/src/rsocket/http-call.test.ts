import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LENGTH_PREFIX_BYTES } from './frames.ts'
import { HttpClientCall, type HttpServerCall, openHttpServerCall } from './http-call.ts'
import type { HttpResponseEntry } from './http-entry.ts'
import { RSocketPeer, type RSocketPeerHandler } from './peer.ts'
import type { RSocketStream } from './stream.ts'

/** Two peers whose frames are carried by hand. */
function link(onRequest: RSocketPeerHandler['onRequest']) {
  const queue: (() => void)[] = []
  const options = { sendFrameBytes: 0xff_ff_ff, maxPayloadBytes: 1e7, maxStreams: 10 }
  const make = (role: 'connecting' | 'accepting', other: () => RSocketPeer): RSocketPeer =>
    new RSocketPeer(
      { ...options, role },
      {
        write: (frame) =>
          queue.push(() => other().onFrame(frame, LENGTH_PREFIX_BYTES, frame.length)),
        onSetup: () => undefined,
        onRequest,
        onLease() {},
        onMetadataPush() {},
        onFatal: (code, message) => assert.fail(`${code} ${message}`),
      },
    )
  const client: RSocketPeer = make('connecting', () => server)
  const server: RSocketPeer = make('connecting', () => client)
  return {
    client,
    settle() {
      for (let step = queue.shift(); step !== undefined; step = queue.shift()) step()
    },
  }
}

class Told {
  head: HttpResponseEntry | undefined
  body = ''
  end: unknown
  failure: string | undefined
  writable = 0
  takes = true

  onHead(head: HttpResponseEntry): void {
    this.head = head
  }
  onBody(bytes: Uint8Array): boolean {
    this.body += Buffer.from(bytes)
    return this.takes
  }
  onEnd(trailers: unknown): void {
    this.end = trailers
  }
  onWritable(): void {
    this.writable++
  }
  onFailure(code: number, message: string): void {
    this.failure = `${code} ${message}`
  }
  onAbort(): void {
    this.failure = 'aborted'
  }
}

const HEAD = {
  method: 'GET',
  path: '/books?id=1',
  authority: 'reviews:9080',
  fields: [['accept', '*/*']] as [string, string][],
}
const OK = { status: 200, fields: [['content-type', 'text/plain']] as [string, string][] }

function serve(answer: (call: HttpServerCall, stream: RSocketStream) => void) {
  const asked = new Told()
  let seen: unknown
  const { client, settle } = link((stream, payload) => {
    const opened = openHttpServerCall(stream, payload)
    assert.ok(opened !== undefined)
    seen = opened.head
    opened.call.receive(asked)
    answer(opened.call, stream)
  })
  return { client, settle, asked, seen: () => seen }
}

test('a request without a body and a whole answer are one frame each', () => {
  const { client, settle, asked, seen } = serve((call) => call.answer(OK, Buffer.from('hello')))
  const told = new Told()
  new HttpClientCall(client, HEAD, Buffer.alloc(0), told)
  settle()
  assert.deepEqual(seen(), HEAD)
  assert.deepEqual(asked.end, [])
  assert.deepEqual([told.head, told.body, told.end], [OK, 'hello', []])
  assert.equal(client.openStreams, 0)
})

test('a long answer comes in chunks, as fast as it is taken, with trailers', () => {
  let server: HttpServerCall | undefined
  const large = 'x'.repeat(1_000_000)
  const { client, settle } = serve((call) => {
    server = call
    call.head(OK)
    call.write(Buffer.from(large))
    call.end([['grpc-status', '0']])
  })
  const told = new Told()
  told.takes = false
  const call = new HttpClientCall(client, HEAD, Buffer.from('body'), told)
  settle()
  assert.ok(server !== undefined)
  assert.ok(told.body.length < 300_000, `${told.body.length} bytes of a window`)
  told.takes = true
  call.resume()
  settle()
  assert.equal(told.body, large)
  assert.deepEqual(told.end, [['grpc-status', '0']])
  assert.equal(client.openStreams, 0)
})

test('a body that goes on is a channel; both ends wait for each other', () => {
  let server: HttpServerCall | undefined
  const { client, settle, asked } = serve((call) => {
    server = call
    asked.takes = false
  })
  const told = new Told()
  const call = new HttpClientCall(client, { ...HEAD, method: 'POST' }, undefined, told)
  settle()
  assert.equal(told.writable, 1, 'the server takes the first window')
  const taken = call.write(Buffer.from('u'.repeat(500_000)))
  assert.equal(taken, false)
  settle()
  assert.ok(asked.body.length < 300_000)
  asked.takes = true
  server?.resume()
  settle()
  assert.equal(told.writable > 1, true)
  call.end([['checksum', '1']])
  settle()
  assert.equal(asked.body.length, 500_000)
  assert.deepEqual(asked.end, [['checksum', '1']])
  server?.answer(OK, Buffer.from('thanks'))
  settle()
  assert.deepEqual([told.body, told.end], ['thanks', []])
  assert.equal(client.openStreams, 0)
})

test('an answer before the body is whole, an error, and a client that leaves', () => {
  const early = serve((call) => call.answer({ status: 413, fields: [] }, Buffer.alloc(0)))
  const told = new Told()
  const call = new HttpClientCall(early.client, HEAD, undefined, told)
  early.settle()
  call.write(Buffer.from('late'))
  call.end([])
  early.settle()
  assert.equal(told.head?.status, 413)

  const failing = serve((server) => server.fail(0x203, 'gone'))
  const failed = new Told()
  new HttpClientCall(failing.client, HEAD, Buffer.alloc(0), failed)
  failing.settle()
  assert.equal(failed.failure, '515 gone')

  const waiting = serve(() => {})
  const leaving = new HttpClientCall(waiting.client, HEAD, Buffer.alloc(0), new Told())
  waiting.settle()
  leaving.abort()
  waiting.settle()
  assert.equal(waiting.asked.failure, 'aborted')
})

/** What every transport promises, whatever carries the bytes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHandleTransport } from './handle-transport.ts'
import { createMemoryTransport } from './memory-transport.ts'
import { createNodeTransport } from './node-transport.ts'
import { pickTransport } from './pick-transport.ts'
import type { Socket, SocketHandler, Transport } from './transport.ts'

const loopback = { host: '127.0.0.1', port: 0 }
const transports: Record<string, () => Transport> = {
  handle: createHandleTransport,
  node: createNodeTransport,
  memory: createMemoryTransport,
}

/** Records what happened and lets a test wait for it. */
class Recorder implements SocketHandler {
  text = ''
  bytes = 0
  readonly events: string[] = []
  #waiting: { event: string; resolve: () => void }[] = []

  onOpen() {
    this.#note('open')
  }
  onData(bytes: Uint8Array, length: number) {
    this.bytes += length
    if (this.bytes < 10_000) this.text += Buffer.from(bytes.subarray(0, length)).toString('latin1')
    this.#note('data')
  }
  onEnd() {
    this.#note('end')
  }
  onDrain() {
    this.#note('drain')
  }
  onClose(error: Error | undefined) {
    this.#note(error === undefined ? 'close' : 'error')
  }
  seen(event: string): Promise<void> {
    if (this.events.includes(event)) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ event, resolve }))
  }
  #note(event: string) {
    this.events.push(event)
    for (const { resolve } of this.#waiting.filter((w) => w.event === event)) resolve()
    this.#waiting = this.#waiting.filter((w) => w.event !== event)
  }
}

async function pair(transport: Transport) {
  const here = new Recorder()
  const there = new Recorder()
  let accepted: Socket | undefined
  const listening = await transport.listen({ address: loopback }, (socket) => {
    accepted = socket
    return there
  })
  const client = transport.connect(listening.address, here)
  await here.seen('open')
  while (accepted === undefined) await new Promise(setImmediate)
  return { here, there, client, server: accepted, listening }
}

for (const [name, create] of Object.entries(transports)) {
  test(`${name}: carries bytes both ways and ends each way on its own`, async () => {
    const { here, there, client, server, listening } = await pair(create())
    client.write(Buffer.from('ping'))
    await there.seen('data')
    assert.equal(there.text, 'ping')
    client.end()
    await there.seen('end')
    server.write(Buffer.from('pong'))
    server.end()
    await here.seen('end')
    assert.equal(here.text, 'pong')
    client.close()
    server.close()
    await Promise.all([here.seen('close'), there.seen('close')])
    await listening.close()
  })

  test(`${name}: a write the peer does not read stays pending, then drains`, async () => {
    const { here, there, client, server, listening } = await pair(create())
    server.pause()
    const size = 16_000_000
    assert.equal(client.write(Buffer.alloc(size, 1)), false)
    assert.ok(client.pendingBytes > 0)
    server.resume()
    await here.seen('drain')
    assert.equal(client.pendingBytes, 0)
    client.end()
    await there.seen('end')
    assert.equal(there.bytes, size)
    client.close()
    server.close()
    await listening.close()
  })

  test(`${name}: a refused connection reports the system's error, once`, async () => {
    const transport = create()
    const { address, close } = await transport.listen({ address: loopback }, () => new Recorder())
    await close()
    const handler = new Recorder()
    const socket = transport.connect(address, handler)
    await handler.seen('error')
    assert.deepEqual(handler.events, ['error'])
    assert.equal(socket.closed, true)
  })

  test(`${name}: nothing is reported after close but onClose`, async () => {
    const { here, there, client, server, listening } = await pair(create())
    server.write(Buffer.from('late'))
    client.close()
    await here.seen('close')
    assert.deepEqual(here.events, ['open', 'close'])
    server.close()
    await Promise.race([there.seen('error'), there.seen('close')])
    await listening.close()
  })

  test(`${name}: an accepted connection takes the addresses that it is told`, async () => {
    const transport = create()
    let direct: Socket['directAddress']
    let seen: unknown
    const ends = [
      { host: '192.0.2.1', port: 1 },
      { host: '198.51.100.7', port: 2 },
    ] as const
    const there = new Recorder()
    const listening = await transport.listen({ address: loopback }, (socket) => {
      socket.readdress(...ends)
      seen = [socket.remoteAddress, socket.localAddress]
      direct = socket.directAddress
      socket.close()
      return there
    })
    const here = new Recorder()
    const client = transport.connect(listening.address, here)
    await Promise.race([there.seen('close'), there.seen('error')])
    assert.deepEqual(seen, ends)
    assert.equal(direct?.host, '127.0.0.1')
    client.close()
    await listening.close()
  })

  test(`${name}: reset is seen by the peer as an error or a close`, async () => {
    const { there, client, server, listening } = await pair(create())
    client.reset()
    await Promise.race([there.seen('error'), there.seen('close')])
    server.close()
    await listening.close()
  })

  test(`${name}: a taken port is refused with EADDRINUSE`, async () => {
    const transport = create()
    const first = await transport.listen({ address: loopback }, () => new Recorder())
    await assert.rejects(
      transport.listen({ address: first.address }, () => new Recorder()),
      { code: 'EADDRINUSE' },
    )
    await first.close()
  })
}

test('bulk reads deliver the same bytes, and their buffer outlives a pending write', async () => {
  const { there, client, server, listening } = await pair(createHandleTransport())
  const sink = await pair(createHandleTransport())
  sink.server.pause()
  const size = 4_000_000
  let sent = 0
  // Relays as the engine does: bulk reads, written without a copy, reading paused while pending.
  const relay = new Recorder()
  relay.onData = (bytes, length) => {
    server.bulkReads(true)
    sent += length
    const piece = bytes.byteLength > 65_536 ? bytes.subarray(0, length) : bytes.slice(0, length)
    if (!sink.client.write(piece)) server.pause()
    if (sent === size) server.bulkReads(false)
  }
  sink.here.onDrain = () => server.resume()
  server.handler = relay
  const pattern = Buffer.alloc(size)
  for (let i = 0; i < size; i += 4) pattern.writeUInt32LE(i, i)
  const received: Buffer[] = []
  sink.there.onData = (bytes, length) => {
    received.push(Buffer.from(bytes.subarray(0, length)))
    sink.there.bytes += length
    if (sink.there.bytes === size) sink.there.onEnd()
  }
  client.write(pattern)
  sink.server.resume()
  await sink.there.seen('end')
  assert.ok(Buffer.concat(received).equals(pattern))
  for (const socket of [client, server, sink.client, sink.server]) socket.close()
  await Promise.all([listening.close(), sink.listening.close(), there.seen('close')].slice(0, 2))
})

test('the handle transport passes its self-test on this Node', async () => {
  const picked = await pickTransport()
  assert.equal(picked.fallbackReason, undefined)
  assert.equal(picked.transport.name, 'handle')
})

test('a transport that does not work is replaced, and the reason is told', async () => {
  const picked = await pickTransport(() => {
    throw new Error('No such module: tcp_wrap')
  })
  assert.equal(picked.transport.name, 'node')
  assert.equal(picked.fallbackReason, 'No such module: tcp_wrap')
})

/** Unix sockets through both transports that speak to the kernel. */
import assert from 'node:assert/strict'
import { lstatSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { createHandleTransport } from './handle-transport.ts'
import { createNodeTransport } from './node-transport.ts'
import type { Socket, SocketHandler, Transport } from './transport.ts'

const folder = mkdtempSync(join(tmpdir(), 'weft-'))
after(() => rmSync(folder, { recursive: true }))

let count = 0
const pathOf = () => join(folder, `${count++}.sock`)

/** Sends back what comes, and its end. */
function echo(socket: Socket): SocketHandler {
  return {
    onOpen() {},
    onData: (bytes, length) => void socket.write(Buffer.from(bytes.subarray(0, length))),
    onEnd: () => socket.end(),
    onDrain() {},
    onClose() {},
  }
}

/** What comes back for `text`; rejects with the connection's error. */
function ask(transport: Transport, host: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = transport.connect(
      { host, port: 0 },
      {
        onOpen() {
          socket.write(Buffer.from(text))
          socket.end()
        },
        onData: (bytes, length) => {
          answer += Buffer.from(bytes.subarray(0, length)).toString()
        },
        onEnd: () => socket.close(),
        onDrain() {},
        onClose: (error) => (error === undefined ? resolve(answer) : reject(error)),
      },
    )
  })
}

for (const create of [createHandleTransport, createNodeTransport]) {
  const { name } = create()

  test(`${name}: bytes go both ways over a path and over an abstract name`, async (t) => {
    const transport = create()
    const abstract = `@weft-${process.pid}-${name}`
    for (const host of [pathOf(), ...(process.platform === 'linux' ? [abstract] : [])]) {
      const ends: unknown[] = []
      const listening = await transport.listen({ address: { host, port: 0 } }, (socket) => {
        ends.push(socket.remoteAddress, socket.localAddress)
        return echo(socket)
      })
      t.after(() => listening.close())
      assert.deepEqual(listening.address, { host, port: 0 })
      assert.equal(await ask(transport, host, 'ping'), 'ping')
      assert.deepEqual(ends, [
        { host: '127.0.0.1', port: 0 },
        { host, port: 0 },
      ])
    }
  })

  test(`${name}: the socket of a dead process gives way, that of a live one does not`, async () => {
    const transport = create()
    const host = pathOf()
    const address = { host, port: 0 }
    const first = await transport.listen({ address }, echo)
    await assert.rejects(transport.listen({ address }, echo), { code: 'EADDRINUSE' })
    await first.close()
    assert.ok(lstatSync(host).isSocket())
    await assert.rejects(ask(transport, host, 'x'), { code: 'ECONNREFUSED' })
    const second = await transport.listen({ address }, echo)
    assert.equal(await ask(transport, host, 'again'), 'again')
    await second.close()
  })

  test(`${name}: a reset of a Unix socket closes it`, async () => {
    const transport = create()
    const host = pathOf()
    const listening = await transport.listen({ address: { host, port: 0 } }, (socket) => {
      queueMicrotask(() => socket.reset())
      return echo(socket)
    })
    await ask(transport, host, 'x').catch((error: NodeJS.ErrnoException) => {
      assert.ok(['ECONNRESET', 'EPIPE'].includes(error.code ?? ''))
    })
    await listening.close()
  })
}

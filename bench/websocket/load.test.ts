import assert from 'node:assert/strict'
import { createServer, type Socket } from 'node:net'
import { after, test } from 'node:test'
import { clientFrame, echoMessages } from './load.ts'

const closers: (() => void)[] = []
after(() => {
  for (const close of closers) close()
})

/** Switches protocols, then treats every read with `answer`. */
async function server(answer: (socket: Socket, bytes: Buffer) => void): Promise<number> {
  const listening = createServer((socket) => {
    closers.push(() => socket.destroy())
    socket.on('error', () => undefined)
    socket.once('data', () => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n')
      socket.on('data', (bytes: Buffer) => answer(socket, bytes))
    })
  })
  closers.push(() => listening.close())
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
  const address = listening.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

const LOAD = { connections: 2, length: 200 }

test('a frame has a masked head of the shortest form', () => {
  assert.deepEqual([...clientFrame(125).subarray(0, 2)], [0x82, 0x80 | 125])
  assert.deepEqual([...clientFrame(126).subarray(0, 4)], [0x82, 0x80 | 126, 0, 126])
  assert.equal(clientFrame(16_000).length, 2 + 2 + 4 + 16_000)
})

test('messages that come back are counted', async () => {
  const port = await server((socket, bytes) => socket.write(bytes))
  assert.ok((await echoMessages(port, 0.1, LOAD)) >= LOAD.connections)
})

test('a message that comes back changed, or a connection that is lost, fails the run', async () => {
  const changed = await server((socket, bytes) => socket.write(bytes.fill(0)))
  await assert.rejects(echoMessages(changed, 0.1, LOAD), /changed/)
  const lost = await server((socket) => socket.destroy())
  await assert.rejects(echoMessages(lost, 0.1, LOAD), /lost|ECONNRESET/)
})

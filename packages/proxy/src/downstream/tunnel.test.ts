/** Bytes through shared, pooled and large buffers, over real sockets: none is lost, none is another's. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { connect, createServer, type Socket } from 'node:net'
import { after, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { seededRandom } from '@weft/testkit'
import type { TcpRuntime } from '../exchange/contract.ts'
import { clusterOf, engineDeps, listenerRuntime, upstreamOf } from '../exchange/engine-fixture.ts'
import { openListener } from '../listen/listener.ts'
import { ListenerSlot } from '../listen/listener-slot.ts'

const CLIENTS = 8
/** From one that is copied to one that many large reads take. */
const SIZES = [1, 100, 30_000, 65_536, 70_000, 300_000, 2_000_000] as const
const MESSAGES = 12

const closers: (() => void)[] = []
after(() => {
  for (const close of closers) close()
})

async function echoPort(): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    closers.push(() => socket.destroy())
    socket.pipe(socket)
  })
  closers.push(() => server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function tunnelPort(): Promise<number> {
  const deps = engineDeps()
  const cluster = upstreamOf(
    clusterOf('echo', [{ host: '127.0.0.1', port: await echoPort() }]),
    deps,
  )
  const runtime: TcpRuntime = {
    kind: 'tcp',
    listener: 'test',
    direction: 'outbound',
    proxy: {
      kind: 'tcp',
      statPrefix: 'echo',
      targets: [{ cluster: 'echo', weight: 1 }],
      idleTimeoutMs: 0,
      accessLogs: [],
    },
    clusters: new Map([['echo', cluster]]),
    observer: { onExchangeEnd() {}, onConnectionEnd() {} },
  }
  const slot = new ListenerSlot(listenerRuntime(runtime))
  const listener = await openListener({ address: { host: '127.0.0.1', port: 0 } }, slot, deps)
  closers.push(() => void listener.close())
  return listener.address.port
}

async function send(socket: Socket, random: () => number): Promise<string> {
  const sent = createHash('sha256')
  for (let i = 0; i < MESSAGES; i++) {
    const size = SIZES[Math.floor(random() * SIZES.length)] ?? 1
    const message = Buffer.alloc(size, String(random()))
    sent.update(message)
    socket.write(message)
    if (random() < 0.5) await turn()
  }
  socket.end()
  return sent.digest('hex')
}

/** Stops reading now and then, so that both sides of the tunnel have to wait. */
async function receive(socket: Socket): Promise<string> {
  const received = createHash('sha256')
  let reads = 0
  for await (const bytes of socket) {
    received.update(bytes as Buffer)
    if (++reads % 3 === 0) await turn()
  }
  return received.digest('hex')
}

test('what goes in comes back as it was, for many at once, and each side ends by itself', async () => {
  const port = await tunnelPort()
  const random = seededRandom(11)
  await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      const [sent, received] = await Promise.all([send(socket, random), receive(socket)])
      assert.equal(received, sent)
    }),
  )
})

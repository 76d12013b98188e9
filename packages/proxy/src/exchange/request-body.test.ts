/** Bodies through pooled buffers, over real sockets: nobody gets another's bytes. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { Agent, createServer, type IncomingMessage, request } from 'node:http'
import { after, test } from 'node:test'
import { seededRandom } from '@weft/testkit'
import { openListener } from '../listen/listener.ts'
import { ListenerSlot } from '../listen/listener-slot.ts'
import {
  clusterOf,
  engineDeps,
  forwardTo,
  httpRuntime,
  listenerRuntime,
  routeOf,
  tableOf,
  upstreamOf,
} from './engine-fixture.ts'

const AT_ONCE = 12
const ROUNDS = 4
/** Around what one read takes, what is kept for another attempt, and large reads. */
const SIZES = [1, 16_384, 60_000, 65_500, 65_537, 131_073, 400_000, 1_500_000] as const

const closers: (() => void)[] = []
after(() => {
  for (const close of closers) close()
})

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of message) pieces.push(piece as Buffer)
  return Buffer.concat(pieces)
}

/** Answers with the digest of what came and with the body itself. */
async function echo(): Promise<number> {
  const server = createServer((incoming, answer) => {
    void bodyOf(incoming).then((body) => {
      answer.setHeader('x-digest', digest(body))
      answer.end(body)
    })
  })
  closers.push(
    () => server.close(),
    () => server.closeAllConnections(),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

test('bodies of all sizes at once arrive as they were sent, both ways', async () => {
  const deps = engineDeps()
  const address = { host: '127.0.0.1', port: await echo() }
  const runtime = httpRuntime(tableOf([routeOf(forwardTo('app'))]), [
    upstreamOf(clusterOf('app', [address]), deps),
  ])
  const slot = new ListenerSlot(listenerRuntime(runtime))
  const listener = await openListener({ address: { host: '127.0.0.1', port: 0 } }, slot, deps)
  closers.push(() => void listener.close())
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })
  closers.push(() => agent.destroy())
  const random = seededRandom(5)

  async function post(): Promise<void> {
    const size = SIZES[Math.floor(random() * SIZES.length)] ?? 1
    const body = Buffer.alloc(size, String(random()))
    const chunked = random() < 0.3
    const sent = digest(body)
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = chunked ? {} : { 'content-length': size }
      const target = { port: listener.address.port, host: '127.0.0.1' }
      request({ ...target, agent, method: 'POST', headers }, resolve)
        .on('error', reject)
        .end(body)
    })
    assert.equal(answer.statusCode, 200)
    assert.equal(answer.headers['x-digest'], sent)
    assert.equal(digest(await bodyOf(answer)), sent)
  }

  for (let round = 0; round < ROUNDS; round++) {
    await Promise.all(Array.from({ length: AT_ONCE }, post))
  }
})

/**
 * A server under test, in a process of its own so that its CPU time and memory are its own: Weft's ADS
 * server, or the floor, which is `node:http2` writing the same bytes and counting what comes
 * back, with no state at all.
 *
 * Started by `run.ts`; told what to do by messages.
 */
import { createServer, type ServerHttp2Stream } from 'node:http2'
import { realClock, silentLogger } from '@weft/base'
import type { ResourceSet } from '@weft/model'
import { createAdsServer, TYPE_URLS } from '@weft/xds'
import { Registry } from '../../packages/xds/src/server/registry.ts'
import { ResponseFrames } from '../../packages/xds/src/server/response-frames.ts'
import { oneService, testEndpoints } from '../../packages/xds/src/testing.ts'

export type Contender = 'weft' | 'bare'

export type ServerCommand =
  | { readonly kind: 'listen'; readonly contender: Contender; readonly endpoints: number }
  /** Waits until this many answers have come since the start. */
  | { readonly kind: 'settle'; readonly answers: number }
  | { readonly kind: 'push'; readonly round: number; readonly clients: number }
  | { readonly kind: 'usage' }

export interface ServerReply {
  readonly port?: number
  readonly cpuMicros?: number
  readonly wallMs?: number
  readonly rssBytes?: number
  readonly heapBytes?: number
}

interface Subject {
  readonly port: number
  push(set: ResourceSet, round: number): void
}

let answers = 0
let awaited = Number.POSITIVE_INFINITY
let reached = () => {}

function answered(): void {
  if (++answers === awaited) reached()
}

function untilAnswers(count: number): Promise<void> {
  if (answers >= count) return Promise.resolve()
  return new Promise((resolve) => {
    awaited = count
    reached = resolve
  })
}

async function weft(first: ResourceSet): Promise<Subject> {
  const server = await createAdsServer(
    {},
    {
      clock: realClock,
      log: silentLogger,
      viewOf: () => 'all',
      onAnswer({ error }) {
        if (error !== undefined) throw new Error(`A client refused: ${error}`)
        answered()
      },
    },
  )
  const bound = await server.listen({ host: '127.0.0.1', port: 0 })
  server.publish('all', first, '0')
  return {
    port: 'port' in bound ? bound.port : 0,
    push: (set, round) => server.publish('all', set, String(round)),
  }
}

/** In the order in which `clients.ts` asks. */
const TYPES = ['cluster', 'endpoints', 'listener', 'route'] as const

async function bare(first: ResourceSet): Promise<Subject> {
  const registry = new Registry(realClock)
  const frames = new ResponseFrames()
  const streams = new Set<ServerHttp2Stream>()
  const frameOf = (type: (typeof TYPES)[number]) => {
    const resources = [...(registry.view('all')?.resources(TYPE_URLS[type]).values() ?? [])]
    return frames.frameOf('delta', { typeUrl: TYPE_URLS[type], resources, removed: [] }, '').bytes
  }
  registry.publish('all', first, '0')
  const firstAnswers = TYPES.map(frameOf)
  const server = createServer({ settings: { initialWindowSize: 1_048_576 } })
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
    stream.on('error', () => {})
    streams.add(stream)
    let asked = 0
    let rest = 0
    stream.on('data', (chunk: Buffer) => {
      let at = rest
      for (; at < chunk.length; at += 5 + chunk.readUInt32BE(at + 1)) {
        const answer = firstAnswers[asked]
        if (answer === undefined) answered()
        else stream.write(answer)
        asked++
      }
      rest = at - chunk.length
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    push(set, round) {
      registry.publish('all', set, String(round))
      const bytes = frameOf('endpoints')
      for (const stream of streams) stream.write(bytes)
    },
  }
}

const SUBJECTS = { weft, bare }
const BASE = oneService(80)
let subject: Subject | undefined
let endpoints = 0

/** Everything as it was, but for the ports of one service. */
function change(round: number): ResourceSet {
  const ports = Array.from({ length: endpoints }, (_, i) => 10_000 + ((i + round) % 50_000))
  return { ...BASE, endpoints: new Map([['a', testEndpoints('a', ...ports)]]) }
}

async function obey(command: ServerCommand): Promise<ServerReply> {
  switch (command.kind) {
    case 'listen':
      endpoints = command.endpoints
      subject = await SUBJECTS[command.contender](change(0))
      return { port: subject.port }
    case 'settle':
      await untilAnswers(command.answers)
      return {}
    case 'push': {
      const startedAtMs = performance.now()
      const startedCpu = process.cpuUsage()
      const finished = untilAnswers(answers + command.clients)
      subject?.push(change(command.round), command.round)
      await finished
      const { user, system } = process.cpuUsage(startedCpu)
      return { cpuMicros: user + system, wallMs: performance.now() - startedAtMs }
    }
    case 'usage': {
      // Twice: what the first run finds dead may keep native memory until the second.
      for (let i = 0; i < 2; i++)
        await globalThis.gc?.({ execution: 'async', flavor: 'last-resort' })
      const { user, system } = process.cpuUsage()
      const { rss, heapUsed } = process.memoryUsage()
      return { cpuMicros: user + system, rssBytes: rss, heapBytes: heapUsed }
    }
  }
}

process.on('message', async (command: ServerCommand) => {
  process.send?.(await obey(command))
})
// However the benchmark ends, nothing of it stays; profiles are written by an orderly exit.
process.on('disconnect', () => process.exit())

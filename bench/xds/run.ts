/**
 * What does one endpoint change cost the control plane, with thousands of proxies connected?
 *
 * Budget (design, section 8): about 20 µs of CPU per push and ACK, flat up to 10,000 proxies;
 * 30 KB of memory per connection. The clients run in a process of their own; what is measured is the
 * process with the server, from the publish to the last ACK.
 *
 *     npm run bench -- xds [--clients 1000,5000] [--endpoints 100] [--rounds 7] [--json]
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { realClock, silentLogger } from '@weft/base'
import type { ResourceSet } from '@weft/model'
import { type AdsServer, createAdsServer } from '@weft/xds'
import { oneService, testEndpoints } from '../../packages/xds/src/testing.ts'
import type { Command } from './clients.ts'

const USAGE = `npm run bench -- xds [options]

  --clients N,N     connected proxies, one row each (default 1000,5000)
  --endpoints N     endpoints of the service that changes (default 100)
  --rounds N        changes per row; medians are printed (default 7)
  --json            one JSON object instead of the table
`

interface Row {
  readonly clients: number
  readonly endpoints: number
  readonly cpuMicrosPerPush: number
  readonly lastAckMs: number
  readonly connectMicrosEach: number
  readonly kilobytesPerConnection: number
}

export async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      clients: { type: 'string', default: '1000,5000' },
      endpoints: { type: 'string', default: '100' },
      rounds: { type: 'string', default: '7' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(USAGE)
    return 0
  }
  const counts = values.clients.split(',').map(Number)
  const endpoints = Number(values.endpoints)
  const rounds = Number(values.rounds)
  if (![...counts, endpoints, rounds].every((n) => Number.isInteger(n) && n > 0)) {
    console.error(`Cannot run: counts must be whole numbers above 0\n\n${USAGE}`)
    return 2
  }
  const rows: Row[] = []
  for (const clients of counts) rows.push(await measure(clients, endpoints, rounds))
  console.log(values.json ? JSON.stringify({ scenario: 'xds', rows }) : renderTable(rows))
  return 0
}

async function measure(clients: number, endpoints: number, rounds: number): Promise<Row> {
  let acks = 0
  let expected = Number.POSITIVE_INFINITY
  let done = () => {}
  const server = await createAdsServer(
    {},
    {
      clock: realClock,
      log: silentLogger,
      viewOf: () => 'all',
      onAnswer({ error }) {
        if (error !== undefined) throw new Error(`A client refused: ${error}`)
        if (++acks >= expected) done()
      },
    },
  )
  const bound = await server.listen({ host: '127.0.0.1', port: 0 })
  if (!('port' in bound)) throw new Error('Cannot run: no port')
  server.publish('all', change(endpoints, 0), '0')

  const child = fork(new URL('./clients.ts', import.meta.url), { execArgv: process.execArgv })
  try {
    collectGarbage()
    const rssBefore = process.memoryUsage().rss
    const cpuBefore = process.cpuUsage()
    await connectClients(child, { port: bound.port, count: clients })
    const connectMicros = microsSince(cpuBefore)

    const cpu: number[] = []
    const wall: number[] = []
    // The first round warms up.
    for (let round = 1; round <= rounds + 1; round++) {
      const finished = new Promise<void>((resolve) => {
        done = resolve
      })
      expected = acks + clients
      const startedAtMs = performance.now()
      const startedCpu = process.cpuUsage()
      server.publish('all', change(endpoints, round), String(round))
      await finished
      if (round === 1) continue
      wall.push(performance.now() - startedAtMs)
      cpu.push(microsSince(startedCpu) / clients)
    }
    collectGarbage()
    const grownBytes = process.memoryUsage().rss - rssBefore
    return {
      clients,
      endpoints,
      cpuMicrosPerPush: round1(median(cpu)),
      lastAckMs: round1(median(wall)),
      connectMicrosEach: Math.round(connectMicros / clients),
      kilobytesPerConnection: round1(grownBytes / clients / 1_024),
    }
  } finally {
    await stop(server, child)
  }
}

/** Everything as it was, but for the ports of one service. */
function change(endpoints: number, round: number): ResourceSet {
  const ports = Array.from({ length: endpoints }, (_, i) => 10_000 + ((i + round) % 50_000))
  return { ...BASE, endpoints: new Map([['a', testEndpoints('a', ...ports)]]) }
}
const BASE = oneService(80)

async function connectClients(child: ChildProcess, command: Command): Promise<void> {
  child.send(command)
  const [message] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => ['gone']),
  ])
  if (message !== 'connected') throw new Error('Cannot run: the clients did not connect')
}

async function stop(server: AdsServer, child: ChildProcess): Promise<void> {
  if (child.exitCode === null) {
    child.kill()
    await once(child, 'exit')
  }
  await server.close()
}

function microsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return user + system
}

/** Only with `--expose-gc`; without it memory is what it is. */
function collectGarbage(): void {
  globalThis.gc?.()
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

function round1(value: number): number {
  return Math.round(value * 10) / 10
}

function renderTable(rows: readonly Row[]): string {
  const head = [
    'clients',
    'endpoints',
    'CPU/push+ACK',
    'last ACK',
    'CPU/connect',
    'memory/connection',
  ]
  const body = rows.map((row) => [
    String(row.clients),
    String(row.endpoints),
    `${row.cpuMicrosPerPush} µs`,
    `${row.lastAckMs} ms`,
    `${row.connectMicrosEach} µs`,
    `${row.kilobytesPerConnection} KB`,
  ])
  const widths = head.map((title, i) =>
    Math.max(title.length, ...body.map((cells) => cells[i]?.length ?? 0)),
  )
  return [head, ...body]
    .map((cells) => cells.map((cell, i) => cell.padStart(widths[i] ?? 0)).join('  '))
    .join('\n')
}

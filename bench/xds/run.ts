/**
 * What does one endpoint change cost the control plane, with thousands of proxies connected?
 *
 * Budget: at most 1.3 times the floor, which is `node:http2` writing the same bytes and reading
 * the same answers with no state at all (design, section 8: 19 to 23 µs of CPU per push and ACK
 * on a quiet machine, flat up to 10,000 proxies). Both servers run side by side and take
 * turns, because only ratios of one run mean anything on a shared machine. What is measured is
 * the process with the server, from the publish to the last ACK; the clients have their own.
 *
 *     npm run bench -- xds [--clients 1000,5000] [--endpoints 100] [--rounds 15] [--json]
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import type { Command } from './clients.ts'
import type { Contender, ServerCommand, ServerReply } from './server.ts'

const USAGE = `npm run bench -- xds [options]

  --clients N,N     connected proxies, two rows each (default 1000,5000)
  --endpoints N     endpoints of the service that changes (default 100)
  --rounds N        changes per row; medians are printed (default 15)
  --json            one JSON object instead of the table
`

interface Row {
  readonly server: string
  readonly clients: number
  readonly endpoints: number
  readonly cpuMicrosPerPush: number
  /** Median over the rounds of this server's CPU time divided by the floor's, round by round. */
  readonly ratio: number
  readonly lastAckMs: number
  readonly connectMicrosEach: number
  /** Resident memory of the process, and the part of it that is JavaScript's heap. */
  readonly kilobytesPerConnection: number
  readonly heapKilobytesPerConnection: number
}

const CONTENDERS: readonly Contender[] = ['bare', 'weft']
const LABELS = { bare: 'node:http2', weft: 'weft' }
/** The first rounds only warm up the compilers. */
const WARM_UP_ROUNDS = 5
/** Connected before memory and CPU of connections are measured: what loads and compiles, has by then. */
const FIRST_CLIENTS = 200
/** What `clients.ts` subscribes to, and so the answers of each at the start. */
const TYPES = 4

export async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      clients: { type: 'string', default: '1000,5000' },
      endpoints: { type: 'string', default: '100' },
      rounds: { type: 'string', default: '15' },
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
  for (const clients of counts) rows.push(...(await measure(clients, endpoints, rounds)))
  console.log(values.json ? JSON.stringify({ scenario: 'xds', rows }) : renderTable(rows))
  return 0
}

async function measure(clients: number, endpoints: number, rounds: number): Promise<Row[]> {
  const opened: Opened[] = []
  try {
    for (const contender of CONTENDERS) opened.push(await open(contender, clients, endpoints))
    const all = FIRST_CLIENTS + clients
    for (let round = 1; round <= WARM_UP_ROUNDS + rounds; round++) {
      for (const one of opened) {
        const { cpuMicros, wallMs } = await ask(one.server, { kind: 'push', round, clients: all })
        if (round <= WARM_UP_ROUNDS) continue
        one.cpu.push((cpuMicros ?? Number.NaN) / all)
        one.wall.push(wallMs ?? Number.NaN)
      }
    }
    const floor = opened[0]?.cpu ?? []
    return await Promise.all(opened.map((one) => rowOf(one, floor, clients, endpoints)))
  } finally {
    for (const { server, peers } of opened) {
      await stop(peers)
      await stop(server)
    }
  }
}

interface Opened {
  readonly contender: Contender
  readonly server: ChildProcess
  readonly peers: ChildProcess
  readonly connectMicros: number
  readonly before: ServerReply
  readonly cpu: number[]
  readonly wall: number[]
}

async function open(contender: Contender, clients: number, endpoints: number): Promise<Opened> {
  const execArgv = [...process.execArgv, '--expose-gc']
  const server = fork(new URL('./server.ts', import.meta.url), { execArgv })
  const peers = fork(new URL('./clients.ts', import.meta.url), { execArgv: process.execArgv })
  const { port = 0 } = await ask(server, { kind: 'listen', contender, endpoints })
  const connect = async (from: number, count: number) => {
    await connectClients(peers, { port, from, count })
    await ask(server, { kind: 'settle', answers: TYPES * (from + count) })
  }
  await connect(0, FIRST_CLIENTS)
  const before = await ask(server, { kind: 'usage' })
  await connect(FIRST_CLIENTS, clients)
  const after = await ask(server, { kind: 'usage' })
  return {
    contender,
    server,
    peers,
    connectMicros: (after.cpuMicros ?? Number.NaN) - (before.cpuMicros ?? Number.NaN),
    before,
    cpu: [],
    wall: [],
  }
}

async function rowOf(
  { contender, server, connectMicros, before, cpu, wall }: Opened,
  floor: readonly number[],
  clients: number,
  endpoints: number,
): Promise<Row> {
  const after = await ask(server, { kind: 'usage' })
  const kilobytesEach = (bytes = Number.NaN, bytesBefore = Number.NaN) =>
    round1((bytes - bytesBefore) / clients / 1_024)
  return {
    server: LABELS[contender],
    clients,
    endpoints,
    cpuMicrosPerPush: round1(median(cpu)),
    ratio: round2(median(cpu.map((micros, i) => micros / (floor[i] ?? Number.NaN)))),
    lastAckMs: round1(median(wall)),
    connectMicrosEach: Math.round(connectMicros / clients),
    kilobytesPerConnection: kilobytesEach(after.rssBytes, before.rssBytes),
    heapKilobytesPerConnection: kilobytesEach(after.heapBytes, before.heapBytes),
  }
}

async function ask(server: ChildProcess, command: ServerCommand): Promise<ServerReply> {
  server.send(command)
  return (await messageOf(server)) as ServerReply
}

async function connectClients(child: ChildProcess, command: Command): Promise<void> {
  child.send(command)
  if ((await messageOf(child)) !== 'connected') throw new Error('Cannot run: no connections')
}

async function messageOf(child: ChildProcess): Promise<unknown> {
  const settled = new AbortController()
  try {
    const [message] = await Promise.race([
      once(child, 'message', settled),
      once(child, 'exit', settled).then((): never => {
        throw new Error('Cannot run: a process of the benchmark ended')
      }),
    ])
    return message
  } finally {
    settled.abort()
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.disconnect()
  await once(child, 'exit')
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

function round1(value: number): number {
  return Math.round(value * 10) / 10
}

function round2(value: number): number {
  return Math.round(value * 100) / 100
}

function renderTable(rows: readonly Row[]): string {
  const head = [
    'server',
    'clients',
    'endpoints',
    'CPU/push+ACK',
    '× floor',
    'last ACK',
    'CPU/connect',
    'memory/connection',
    'of it heap',
  ]
  const body = rows.map((row) => [
    row.server,
    String(row.clients),
    String(row.endpoints),
    `${row.cpuMicrosPerPush} µs`,
    String(row.ratio),
    `${row.lastAckMs} ms`,
    `${row.connectMicrosEach} µs`,
    `${row.kilobytesPerConnection} KB`,
    `${row.heapKilobytesPerConnection} KB`,
  ])
  const widths = head.map((title, i) =>
    Math.max(title.length, ...body.map((cells) => cells[i]?.length ?? 0)),
  )
  return [head, ...body]
    .map((cells) => cells.map((cell, i) => cell.padStart(widths[i] ?? 0)).join('  '))
    .join('\n')
}

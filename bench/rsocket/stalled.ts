/**
 * What do consumers cost that ask for everything and read nothing? A broker in a process of its own;
 * others stream through it all the while. Their rate and the broker's resident memory with and without
 * those that stall, in turns of one run.
 *
 *     npm run bench -- rsocket-stalled [--stalled 8] [--rounds 3] [--seconds 2] [--json]
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { freePort } from '@weft/testkit'
import { cpuOf, listening, memoryOf } from '../http1/processes.ts'
import { answerWith, dial, dialSocket, routed } from './endpoint.ts'

const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
/** Those that `weft` starts itself with. */
const NODE_FLAGS = ['--conditions=source', '--max-semi-space-size=1']
const ITEM = { data: Buffer.alloc(4_096, 'i') }
const STREAMS = 8

const HELP = `rsocket-stalled: a broker's memory, and the rate of other streams, while consumers read nothing.

  --stalled N   streams of 4 KB items that ask for everything and read nothing (default 8)
  --rounds N    turns with and without them (default 3)
  --seconds N   length of one measurement (default 2)
  --json        the result as JSON`

interface Turn {
  readonly itemsPerSecond: number
  readonly cpuUs: number
  readonly rssMb: number
}

export async function run(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      stalled: { type: 'string', default: '8' },
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '2' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(HELP)
    return 0
  }
  const seconds = Number(values.seconds)
  const port = await freePort()
  const args = [...NODE_FLAGS, script('middle.ts'), 'broker', String(port)]
  const broker = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  try {
    await listening(port, broker, 'weft broker')
    await turn(broker, port, seconds)
    const alone: Turn[] = []
    const beside: Turn[] = []
    await dial(port, false, 'bench.Big', answerWith(ITEM))
    for (let round = 0; round < Number(values.rounds); round++) {
      alone.push(await turn(broker, port, seconds))
      const stalled = await stall(port, Number(values.stalled))
      beside.push(await turn(broker, port, seconds))
      for (const socket of stalled) socket.destroy()
    }
    const result = { stalled: Number(values.stalled), alone: median(alone), beside: median(beside) }
    console.log(values.json ? JSON.stringify(result) : render(result))
    return 0
  } finally {
    const gone = once(broker, 'exit')
    broker.kill('SIGKILL')
    await gone
  }
}

async function stall(port: number, count: number): Promise<readonly Socket[]> {
  const sockets: Socket[] = []
  for (let i = 0; i < count; i++) {
    const { peer, socket } = await dialSocket(port, false, undefined)
    socket.pause()
    const ignored = { onItem() {}, onComplete() {}, onError() {}, onRequestN() {}, onCancel() {} }
    peer.request('stream', routed('bench.Big.all'), ignored, { initialN: 0x7fff_ffff })
    sockets.push(socket)
  }
  return sockets
}

/** Streams of others for a while. The memory is the largest that was seen. */
async function turn(broker: ChildProcess, port: number, seconds: number): Promise<Turn> {
  const pid = broker.pid ?? 0
  let rssMb = 0
  const look = setInterval(() => {
    rssMb = Math.max(rssMb, memoryOf(pid).rssMb)
  }, 100)
  const before = cpuOf(pid)
  const args = [port, seconds, 1, STREAMS, 'stream'].map(String)
  const command = ['--conditions=source', script('load.ts'), ...args]
  const { stdout } = await promisify(execFile)(process.execPath, command)
  clearInterval(look)
  const after = cpuOf(pid)
  const items = Number(stdout)
  const usedUs = after.userUs + after.systemUs - before.userUs - before.systemUs
  return { itemsPerSecond: items / seconds, cpuUs: usedUs / items, rssMb }
}

function median(turns: readonly Turn[]): Turn {
  const of = (pick: (turn: Turn) => number): number => {
    const sorted = turns.map(pick).sort((a, b) => a - b)
    return sorted[Math.floor(sorted.length / 2)] ?? 0
  }
  return {
    itemsPerSecond: of((turn) => turn.itemsPerSecond),
    cpuUs: of((turn) => turn.cpuUs),
    rssMb: Math.max(...turns.map((turn) => turn.rssMb)),
  }
}

function render(result: { stalled: number; alone: Turn; beside: Turn }): string {
  const line = (name: string, { itemsPerSecond, cpuUs, rssMb }: Turn) =>
    `| ${name} | ${Math.round(itemsPerSecond).toLocaleString('en')} | ${cpuUs.toFixed(2)} | ${rssMb.toFixed(0)} |`
  return [
    `| ${STREAMS} streams of 128 B items | items/s | CPU µs/item | broker's RSS MB, at most |`,
    '| --- | --- | --- | --- |',
    line('alone', result.alone),
    line(`beside ${result.stalled} that stall`, result.beside),
  ].join('\n')
}

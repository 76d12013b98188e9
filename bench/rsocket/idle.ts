/**
 * What do connections cost that say nothing? A broker in a process of its own, as many
 * connections as asked for or as open files allow, each let in; resident memory before and after.
 *
 *     npm run bench -- rsocket-idle [--connections 10000] [--json]
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createTestCa, freePort } from '@weft/testkit'
import { COMPOSITE_MIME, renderKeepalive, renderSetup } from '@weft/wire'

const MIDDLE = fileURLToPath(new URL('middle.ts', import.meta.url))
/** Those that `weft` starts itself with. */
const NODE_FLAGS = ['--conditions=source', '--max-semi-space-size=1']
/** Beside the connections themselves. */
const OTHER_FILES = 500
const AT_ONCE = 200
const SETTLE_MS = 2_000

const HELP = `rsocket-idle: resident memory of a broker per connection that was let in and says nothing.

  --connections N   how many (default 10000, as far as open files allow)
  --json            the result as JSON`

/** As many as asked for; each is a file of this process, and one of the broker's. */
export function connectionsWithin(asked: number, openFiles: number): number {
  return Math.max(0, Math.min(asked, openFiles - OTHER_FILES))
}

export async function run(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      connections: { type: 'string', default: '10000' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(HELP)
    return 0
  }
  const files = Number(spawnSync('sh', ['-c', 'ulimit -n']).stdout.toString()) || 1_024
  const connections = connectionsWithin(Number(values.connections), files)
  const plainKb = await measureKind(connections, false)
  const tlsKb = await measureKind(connections, true)
  if (values.json) console.log(JSON.stringify({ connections, files, plainKb, tlsKb }))
  else {
    console.log(`${connections} connections that say nothing (${files} open files allowed)`)
    console.log(`plain ${plainKb.toFixed(1)} KB, TLS ${tlsKb.toFixed(1)} KB a connection`)
  }
  return 0
}

async function measureKind(connections: number, isTls: boolean): Promise<number> {
  const port = await freePort()
  const ca = createTestCa()
  const server = ca.issue({ dns: ['localhost'] })
  const tls = isTls ? [server.certPem, server.keyPem] : []
  const broker = spawn(process.execPath, [...NODE_FLAGS, MIDDLE, 'broker', String(port), ...tls], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  try {
    return await measure(broker, connections, () => dial(port, isTls ? ca.caPem : undefined))
  } finally {
    const gone = once(broker, 'exit')
    broker.kill('SIGKILL')
    await gone
  }
}

async function measure(
  broker: ChildProcess,
  count: number,
  dialOne: () => Promise<Socket>,
): Promise<number> {
  const pid = broker.pid ?? 0
  const sockets: Socket[] = []
  // The first ones pay for code and pools that all share.
  for (let at = 0; at < AT_ONCE; at++) sockets.push(await dialAgain(dialOne))
  await later(SETTLE_MS)
  const before = residentKb(pid)
  while (sockets.length < count + AT_ONCE) {
    const some = Math.min(AT_ONCE, count + AT_ONCE - sockets.length)
    sockets.push(...(await Promise.all(Array.from({ length: some }, dialOne))))
  }
  await later(SETTLE_MS)
  const after = residentKb(pid)
  for (const socket of sockets) socket.destroy()
  return (after - before) / count
}

/** Until the broker listens. */
async function dialAgain(dialOne: () => Promise<Socket>): Promise<Socket> {
  for (let tries = 0; ; tries++) {
    try {
      return await dialOne()
    } catch (error) {
      if (tries > 100) throw error
      await later(100)
    }
  }
}

const later = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

function dial(port: number, caPem: string | undefined): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const at = { host: '127.0.0.1', port }
    const hello = () => {
      socket.write(
        renderSetup({
          ...{ majorVersion: 1, minorVersion: 0, keepaliveMs: 600_000, maxLifetimeMs: 3_600_000 },
          ...{ resumeToken: undefined, lease: false, metadataMime: COMPOSITE_MIME },
          ...{ dataMime: 'application/json', payload: { data: Buffer.alloc(0) } },
        }),
      )
      // Its answer says that SETUP was taken.
      socket.write(renderKeepalive(true, 0, Buffer.alloc(0)))
    }
    const socket: Socket =
      caPem === undefined
        ? connectTcp(at, hello)
        : connectTls({ ...at, ca: caPem, servername: 'localhost' }, hello)
    socket.once('error', reject)
    socket.once('data', () => resolve(socket))
  })
}

/** Of the process itself, without the kernel's socket buffers. */
function residentKb(pid: number): number {
  const found = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(found?.[1])
}

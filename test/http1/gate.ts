/**
 * Runs the HTTP/1.1 cases against the real engine: `run.mjs` in a process of its
 * own plays client and upstream, the engine between them listens on a free port.
 */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { HttpConnectionManager, RouteTable } from '@weft/model'
import { freePort } from '@weft/testkit'
import {
  clusterOf,
  engineDeps,
  httpRuntime,
  listenerRuntime,
  MANAGER,
  upstreamOf,
} from '../../packages/proxy/src/exchange/engine-fixture.ts'
import { openListener } from '../../packages/proxy/src/listen/listener.ts'
import { ListenerSlot } from '../../packages/proxy/src/listen/listener-slot.ts'

const runner = fileURLToPath(new URL('run.mjs', import.meta.url))

export interface GateOptions {
  readonly table: RouteTable
  readonly manager: Partial<HttpConnectionManager>
  readonly args: readonly string[]
}

/** The runner's output and its exit code: 0 when every case is as strict as Weft wants. */
export async function runGate(options: GateOptions): Promise<{ code: number; output: string }> {
  const deps = engineDeps()
  const upstreamPort = await freePort()
  const cluster = upstreamOf(clusterOf('cases', [{ host: '127.0.0.1', port: upstreamPort }]), deps)
  const runtime = httpRuntime(options.table, [cluster], {
    manager: { ...MANAGER, ...options.manager },
  })
  const slot = new ListenerSlot(listenerRuntime(runtime))
  const listener = await openListener({ address: { host: '127.0.0.1', port: 0 } }, slot, deps)
  try {
    return await run([
      '--proxy',
      `127.0.0.1:${listener.address.port}`,
      '--upstream-port',
      String(upstreamPort),
      '--gate',
      'weft',
      ...options.args,
    ])
  } finally {
    await listener.close()
    cluster.close()
  }
}

function run(args: readonly string[]): Promise<{ code: number; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [runner, ...args])
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text
    })
    child.stderr.setEncoding('utf8').on('data', (text) => {
      output += text
    })
    child.on('error', reject)
    child.on('close', (code) => resolve({ code: code ?? 1, output }))
  })
}

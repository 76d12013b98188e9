/** A service behind sidecars restarts replica by replica; a control plane comes back before its workloads do (F10). */
import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { eventually, freePort, type Running, startWeft, temporaryFolder } from '../e2e/weft.ts'
import { renderTally, startClient } from './checking-client.ts'
import { adminText, report, untilAccepts } from './stage.ts'

const APP = fileURLToPath(new URL('app.ts', import.meta.url))
/** An open loop: what a slow answer delays is the answer, not the next request. */
const RATE = { connections: 256, perSecond: 500 }
const RESTARTS = 4
/** Processes start slowly on a machine that is busy. */
const LIMIT_MS = 40_000

interface Mesh extends AsyncDisposable {
  /** Where callers go. */
  readonly outbound: number
  readonly callerAdmin: number
  startControl(): Promise<Running>
  startCaller(): void
  /** @param control The port at which it looks for the control plane. */
  startReplica(name: string, control?: number): Promise<Running>
  readonly xds: number
}

async function openMesh(): Promise<Mesh> {
  const folder = await temporaryFolder()
  const config = join(folder.path, 'mesh')
  await mkdir(config)
  const [xds, admin, outbound, callerAdmin] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ]
  const running: Running[] = []
  const started = (one: Running) => {
    running.push(one)
    return one
  }
  const startControl = async () => {
    const control = started(
      startWeft([
        ...['control', config, '--xds', `127.0.0.1:${xds}`, '--admin', `127.0.0.1:${admin}`],
        ...['--state', join(folder.path, 'plane')],
      ]),
    )
    await control.saw('Control plane is up')
    return control
  }
  const state = ['--state', join(folder.path, 'state')]
  return {
    outbound,
    callerAdmin,
    xds,
    startControl,
    async startReplica(name, control = xds) {
      const app = await freePort()
      const replica = started(
        startWeft([
          ...['run', ...state, '--control', `127.0.0.1:${control}`, '--service', 'app'],
          ...['--name', name, '--port', '9080', '--app-port', String(app)],
          ...['--', process.execPath, APP, String(app)],
        ]),
      )
      await untilAccepts(app)
      return replica
    },
    startCaller() {
      started(
        startWeft([
          ...['proxy', ...state, '--control', `127.0.0.1:${xds}`, '--name', 'caller'],
          ...['--outbound', `127.0.0.1:${outbound}`, '--admin', `127.0.0.1:${callerAdmin}`],
        ]),
      )
    },
    async [Symbol.asyncDispose]() {
      for (const one of running.toReversed()) await one[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

/** Healthy endpoints of the service, as the caller sees them. */
async function healthyOf({ callerAdmin }: Mesh): Promise<number> {
  const text = await adminText(callerAdmin, '/clusters').catch(() => '')
  return [...text.matchAll(/^outbound\|9080\|[^\n]*::health_flags::healthy$/gm)].length
}

test('a rolling restart of a service under 500 requests a second fails none', async () => {
  await using mesh = await openMesh()
  await mesh.startControl()
  mesh.startCaller()
  const names = ['one', 'two']
  const replicas = [await mesh.startReplica('one'), await mesh.startReplica('two')]
  await eventually(
    () => healthyOf(mesh),
    (healthy) => healthy === 2,
    LIMIT_MS,
  )
  await using client = startClient(mesh.outbound, { host: 'app:9080', ...RATE })
  await client.answers(500)
  const startedMs = performance.now()
  const before = client.tally.ok
  for (let i = 0; i < RESTARTS; i++) {
    const at = i % 2
    const old = replicas[at]
    assert.ok(old)
    old.process.kill('SIGTERM')
    await old.finished
    replicas[at] = await mesh.startReplica(names[at] ?? '')
    await eventually(
      () => healthyOf(mesh),
      (healthy) => healthy === 2,
      LIMIT_MS,
    )
    await client.answers(200)
  }
  const rate = (client.tally.ok - before) / ((performance.now() - startedMs) / 1_000)
  const tally = await client.stop()
  report(
    'rolling restart',
    `${RESTARTS} replicas restarted at ${rate.toFixed(0)} requests a second: ${renderTally(tally)}`,
  )
  assert.deepEqual([tally.lost, tally.refused, tally.refusedPosts, tally.wrong], [0, 0, 0, 0])
})

test('F10 a control plane that is back before its workloads takes no endpoint away', async () => {
  await using mesh = await openMesh()
  let control = await mesh.startControl()
  const gate = await openGate(mesh.xds)
  await using _gate = { [Symbol.asyncDispose]: async () => gate.end() }
  mesh.startCaller()
  await mesh.startReplica('one', gate.port)
  await eventually(
    () => healthyOf(mesh),
    (healthy) => healthy === 1,
    LIMIT_MS,
  )
  await using client = startClient(mesh.outbound, { host: 'app:9080' })
  await client.answers(300)
  gate.close()
  control.process.kill('SIGKILL')
  await control.finished
  control = await mesh.startControl()
  // The caller is connected, and the control plane knows nothing of the workload it calls.
  const closedMs = 4_000
  await new Promise((resolve) => setTimeout(resolve, closedMs))
  await client.answers(200)
  gate.open()
  await client.answers(200)
  const tally = await client.stop()
  report('F10', `workloads ${closedMs} ms later than the control plane: ${renderTally(tally)}`)
  assert.deepEqual([tally.lost, tally.refused, tally.refusedPosts, tally.wrong], [0, 0, 0, 0])
})

/** A way to the control plane that can be shut. */
async function openGate(target: number) {
  let isOpen = true
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    if (!isOpen) {
      socket.destroy()
      return
    }
    const upstream = connect(target, '127.0.0.1')
    for (const one of [socket, upstream]) {
      sockets.add(one)
      one.on('error', () => undefined)
      one.on('close', () => {
        socket.destroy()
        upstream.destroy()
      })
    }
    socket.pipe(upstream).pipe(socket)
  })
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const cut = () => {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
  }
  return {
    port,
    open() {
      isOpen = true
    },
    close() {
      isOpen = false
      cut()
    },
    end() {
      server.close()
      cut()
    },
  }
}

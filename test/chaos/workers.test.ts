/** F24, F25, U3: a worker of the proxy dies again and again, hangs; workers become fewer and more. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../e2e/weft.ts'
import { renderTally, startClient } from './checking-client.ts'
import { adminText, openStage, report, type Stage, workersOf } from './stage.ts'
import { openWebSocket } from './web-socket.ts'

const KILLS = 10
const KILL_EVERY_MS = 1_000
const WEB_SOCKETS = 40
const CONNECTIONS = 16
/** As long as the old process waits for the new one, and a little: a busy machine is slow, not wrong. */
const UPGRADE_MS = 65_000
const PAUSE_AFTER_FAILURE_MS = 10

test('F25 a worker that aborts every second takes only its own connections along', async () => {
  await using stage = await openStage({ concurrency: 2 })
  const sockets = await Promise.all(
    Array.from({ length: WEB_SOCKETS }, () => openWebSocket(stage.port)),
  )
  const [first, second] = await workersOf(stage)
  assert.ok(first && second)
  assert.equal(first.connections + second.connections, WEB_SOCKETS)
  await using client = startClient(stage.port, { connections: CONNECTIONS })
  await client.answers(300)
  const restartMs: number[] = []
  for (let i = 0; i < KILLS; i++) {
    const [victim] = await allReady(stage)
    assert.ok(victim)
    process.kill(victim.pid, 'SIGABRT')
    const killedAtMs = performance.now()
    await eventually(
      () => workersOf(stage),
      (workers) =>
        workers.length === 2 &&
        workers.every(({ pid, state }) => state === 'ready' && pid !== victim.pid),
    )
    restartMs.push(performance.now() - killedAtMs)
    if (i === 0) {
      // Those of the other one: all, and they work.
      assert.equal(sockets.filter(({ isOpen }) => isOpen).length, second.connections)
    }
    await Promise.all(sockets.filter(({ isOpen }) => isOpen).map((socket) => socket.echo()))
    const leftMs = Math.max(0, KILL_EVERY_MS - (performance.now() - killedAtMs))
    await new Promise((resolve) => setTimeout(resolve, leftMs))
  }
  await client.answers(300)
  const tally = await client.stop()
  const { length } = sockets.filter(({ isOpen }) => isOpen)
  for (const socket of sockets) socket.end()
  // For the first nobody waited yet.
  const [firstMs = 0] = restartMs.splice(0, 1)
  restartMs.sort((a, b) => a - b)
  const median = restartMs[restartMs.length >> 1] ?? 0
  report(
    'F25',
    `${KILLS} aborts, a new worker is ready after ${median.toFixed(0)} ms (the first time ${firstMs.toFixed(0)}), ${length} WebSockets of the other worker stay: ${renderTally(tally)}`,
  )
  assert.equal(length, second.connections)
  assert.deepEqual([tally.refused, tally.wrong], [0, 0])
  assert.equal(tally.errors.get('ECONNREFUSED'), undefined)
  // At worst every client had one request in the worker that died.
  assert.ok(tally.lost + tally.races <= KILLS * CONNECTIONS)
})

test('F25 a worker that dies as soon as it lives does not stop the other one', async () => {
  await using stage = await openStage({ concurrency: 2 })
  await using client = startClient(stage.port, { connections: CONNECTIONS })
  await client.answers(100)
  const [, survivor] = await allReady(stage)
  assert.ok(survivor)
  let kills = 0
  const untilMs = performance.now() + 6_000
  while (performance.now() < untilMs) {
    for (const { pid } of await workersOf(stage)) {
      if (pid === survivor.pid || !isAlive(pid)) continue
      process.kill(pid, 'SIGKILL')
      kills++
    }
    await client.answers(20)
  }
  const before = client.tally.lost + client.tally.races
  await client.answers(500)
  const tally = await client.stop()
  const still = (await workersOf(stage)).find(({ pid }) => pid === survivor.pid)
  report('F25', `crash loop, ${kills} kills in 6 s: ${renderTally(tally)}`)
  assert.equal(still?.restarts, 0)
  assert.deepEqual([tally.refused, tally.wrong], [0, 0])
  assert.equal(tally.errors.get('ECONNREFUSED'), undefined)
  assert.ok(tally.lost + tally.races - before <= CONNECTIONS)
})

test('F24 a worker that hangs is killed and replaced', async () => {
  await using stage = await openStage({ concurrency: 2 })
  const [victim] = await allReady(stage)
  assert.ok(victim)
  process.kill(victim.pid, 'SIGSTOP')
  const stoppedAtMs = performance.now()
  await eventually(
    () => workersOf(stage),
    (workers) => workers.every(({ pid, state }) => pid !== victim.pid && state === 'ready'),
    15_000,
  )
  const tookMs = performance.now() - stoppedAtMs
  await using client = startClient(stage.port, { connections: CONNECTIONS })
  await client.answers(300)
  const tally = await client.stop()
  report('F24', `replaced ${tookMs.toFixed(0)} ms after it stopped: ${renderTally(tally)}`)
  assert.deepEqual([tally.lost, tally.refused, tally.wrong], [0, 0, 0])
})

test('U3 workers become fewer and more, and no connection in a queue is lost', async () => {
  await using stage = await openStage({ concurrency: 2 })
  const pids = [(await supervisorOf(stage)).pid]
  await using _last = {
    [Symbol.asyncDispose]: async () => {
      for (const pid of pids.slice(1)) if (isAlive(pid)) process.kill(pid, 'SIGTERM')
      await eventually(
        () => pids.slice(1).some(isAlive),
        (some) => !some,
        20_000,
      )
    },
  }
  await using client = startClient(stage.port, { connections: CONNECTIONS })
  await using connecting = startConnecting(stage.port)
  const counts = [1, 3, 2, 1]
  for (const count of counts) {
    await client.answers(200)
    const before = pids.at(-1)
    await adminText(stage.admin, `/upgrade?concurrency=${count}`, 'POST')
    const after = await eventually(
      () => supervisorOf(stage),
      ({ pid, workers, failure }) =>
        (pid !== 0 && pid !== before && workers === count) || failure !== undefined,
      UPGRADE_MS,
    )
    assert.equal(after.failure, undefined)
    pids.push(after.pid)
    assert.equal(after.workers, count)
    await client.answers(200)
  }
  const { connects, failed } = await connecting.stop()
  const tally = await client.stop()
  report(
    'U3',
    `2 workers, then ${counts.join(', ')}: ${connects} new connections, ${failed} failed; ${renderTally(tally)}`,
  )
  assert.deepEqual([failed, tally.lost, tally.refused, tally.wrong], [0, 0, 0, 0])
})

function allReady(stage: Stage) {
  return eventually(
    () => workersOf(stage),
    (workers) => workers.length === 2 && workers.every(({ state }) => state === 'ready'),
  )
}

interface Supervisor {
  /** 0: between two processes a connection may end. */
  readonly pid: number
  readonly workers: number
  /** Why there is no successor. */
  readonly failure: string | undefined
}

/** On a connection of its own: one that is kept may be the old process's, which closes it. */
async function supervisorOf(stage: Stage): Promise<Supervisor> {
  try {
    const answer = await fetch(`http://127.0.0.1:${stage.admin}/server_info`, {
      headers: { connection: 'close' },
    })
    const { weft } = (await answer.json()) as ServerInfo
    const failure = weft.upgrade_failure ?? undefined
    return { pid: weft.pid, workers: Math.max(1, weft.workers?.length ?? 0), failure }
  } catch {
    return { pid: 0, workers: 0, failure: undefined }
  }
}

interface ServerInfo {
  readonly weft: {
    readonly pid: number
    readonly workers?: readonly unknown[]
    readonly upgrade_failure?: string | null
  }
}

interface Connecting extends AsyncDisposable {
  stop(): Promise<{ readonly connects: number; readonly failed: number }>
}

/**
 * A connection for every request: some of them are always in a queue. It ends with its owner,
 * also when a test fails: against a port that is closed it would go on at full speed for ever.
 */
function startConnecting(port: number): Connecting {
  let connects = 0
  let failed = 0
  let isRunning = true
  const loop = async () => {
    while (isRunning) {
      const { status } = await fetch(`http://127.0.0.1:${port}/`, {
        headers: { connection: 'close' },
      }).catch(() => ({ status: 0 }))
      connects++
      if (status === 200) continue
      failed++
      await new Promise((resolve) => setTimeout(resolve, PAUSE_AFTER_FAILURE_MS))
    }
  }
  const loops = Promise.all(Array.from({ length: 4 }, loop))
  const stop = async () => {
    isRunning = false
    await loops
    return { connects, failed }
  }
  return { stop, [Symbol.asyncDispose]: async () => void (await stop()) }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

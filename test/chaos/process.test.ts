/** U1: the proxy's own process is replaced under load. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { eventually } from '../e2e/weft.ts'
import { renderTally, startClient } from './checking-client.ts'
import { adminText, openStage, report } from './stage.ts'
import { openWebSocket } from './web-socket.ts'

const UPGRADES = 2
const WEB_SOCKETS = 1_000

async function pidOf(admin: number): Promise<number> {
  try {
    return JSON.parse(await adminText(admin, '/server_info')).weft.pid
  } catch {
    // Between two answers a connection may end.
    return 0
  }
}

for (const concurrency of [1, 2]) {
  test(`U1 an upgrade of ${concurrency} workers loses no request and cuts no WebSocket`, () =>
    upgradeUnderLoad(concurrency))
}

async function upgradeUnderLoad(concurrency: number): Promise<void> {
  await using stage = await openStage({ concurrency })
  await using client = startClient(stage.port)
  const sockets = await Promise.all(
    Array.from({ length: WEB_SOCKETS }, () => openWebSocket(stage.port)),
  )
  const pids = [await pidOf(stage.admin)]
  await using _last = {
    [Symbol.asyncDispose]: async () => {
      for (const pid of pids.slice(1)) if (isAlive(pid)) process.kill(pid, 'SIGTERM')
      await eventually(
        () => pids.slice(1).some(isAlive),
        (some) => !some,
        15_000,
      )
    },
  }
  for (let i = 0; i < UPGRADES; i++) {
    await client.answers(500)
    const before = pids.at(-1) ?? 0
    if (i === 0) process.kill(before, 'SIGUSR2')
    else await adminText(stage.admin, '/upgrade', 'POST')
    // The old one has closed its admin port when only the new one answers.
    pids.push(
      await eventually(
        () => pidOf(stage.admin),
        (pid) => pid !== 0 && pid !== before,
        20_000,
      ),
    )
    await client.answers(500)
    await Promise.all(sockets.map((socket) => socket.echo()))
  }
  const tally = await client.stop()
  report(
    'U1',
    `${UPGRADES} upgrades of ${concurrency} workers, ${WEB_SOCKETS} WebSockets open: ${renderTally(tally)}`,
  )
  assert.equal(new Set(pids).size, UPGRADES + 1)
  assert.deepEqual([tally.lost, tally.refused, tally.wrong], [0, 0, 0])
  assert.ok(sockets.every(({ isOpen }) => isOpen))
  assert.equal(stage.proxy.process.exitCode, null, 'the first process carries the WebSockets')
  for (const socket of sockets) socket.end()
  // Its output is its successors' too, so the end of that is no sign.
  const { process: first } = stage.proxy
  if (first.exitCode === null) await once(first, 'exit')
  assert.equal(first.exitCode, 0)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

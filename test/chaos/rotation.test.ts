/** F12, F13, F27: certificates and roots change under load; the clock moves a year ahead. */
import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { availableParallelism, loadavg } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { CaStatus } from '@weft/control'
import { eventually, temporaryFolder } from '../e2e/weft.ts'
import { renderTally, startClient } from './checking-client.ts'
import { openRotationMesh, type RotationMesh } from './rotation-mesh.ts'
import { report } from './stage.ts'
import { openWebSocket } from './web-socket.ts'

const HOST = 'app:9080'
/** An open loop: what a slow answer delays is the answer, not the next request. */
const RATE = { connections: 256, perSecond: 500, floorPerSecond: 100 }
/** Good answers a second at least, however little time the machine has for us. */
const LEAST_RATE = 80
/** Runnable processes per core, from which on a proxy has to wait for its turn. */
const BUSY = 2
/** The overload manager, in its own log or in that of the caller whom it told. */
const SHED = /: 503 (?:OM overload|- via_upstream)/
/** A handshake that had no turn for ten seconds, and what the caller hears of it. */
const NO_TURN = /: 0 \S+ no TLS handshake within/
const CUT_OFF = /^caller.*: 503 UC /

function isBusy(): boolean {
  const [load = 0] = loadavg()
  return load / availableParallelism() > BUSY
}
const LEAF_SECONDS = 20
/** Where a proxy has no turn for seconds, what lives for 20 s ends before it is renewed. */
const BUSY_LEAF_SECONDS = 60
/** A root is told for 30 s, then leaves of the old one end: what a rotation takes at least. */
const ROTATION_MS = 120_000

test('F12 F13 leaves change all the time and the root twice under 500 requests a second', {
  timeout: 2 * ROTATION_MS + 120_000,
}, async () => {
  const leafSeconds = isBusy() ? BUSY_LEAF_SECONDS : LEAF_SECONDS
  const life = `${leafSeconds}s`
  await using mesh = await openRotationMesh(['--cert-ttl', life, '--max-cert-ttl', life])
  const socket = await openWebSocket(mesh.outbound, HOST)
  await using client = startClient(mesh.outbound, { host: HOST, ...RATE })
  await client.answers(500)
  const startedMs = performance.now()
  const before = { ok: client.tally.ok, handshakes: await mesh.handshakes() }
  const first = await rootsOf(mesh)
  const second = await rotated(mesh)
  const third = await rotated(mesh)
  assert.equal(new Set([...first, ...second, ...third]).size, 3)
  await client.answers(500)
  await socket.echo()
  const seconds = (performance.now() - startedMs) / 1_000
  const rate = (client.tally.ok - before.ok) / seconds
  const handshakes = await mesh.handshakes()
  const renewals = (await mesh.ca()).issued.total
  const tally = await client.stop()
  socket.end()
  const refusals = mesh.refusals()
  const shed = refusals.filter((one) => SHED.test(one))
  const noTurn = refusals.filter((one) => NO_TURN.test(one))
  const cutOff = refusals.filter((one) => CUT_OFF.test(one))
  const late = shed.length + noTurn.length
  const causes = [
    ...refusals.filter((one) => ![SHED, NO_TURN, CUT_OFF].some((reason) => reason.test(one))),
    // No more of them than handshakes had no turn.
    ...cutOff.slice(noTurn.length),
  ]
  report(
    'F12 F13',
    `two root rotations in ${seconds.toFixed(0)} s at ${rate.toFixed(0)} requests a second, ${renewals} certificates of ${leafSeconds} s, ${handshakes.done - before.handshakes.done} handshakes, ${handshakes.failed} failed ${handshakes.why.join(', ')}, ${shed.length} shed for want of time: ${renderTally(tally)}`,
  )
  // A proxy whose turn comes late sheds load, and says that it is that (R22): where the machine has
  // other things to do that is no fault of a rotation. Whatever else a proxy or the client saw is one.
  assert.deepEqual(causes, [])
  assert.deepEqual([tally.lost, tally.wrong], [0, 0])
  const refused = tally.refused + tally.refusedPosts
  assert.ok(refused <= shed.length + cutOff.length, 'a refusal that no proxy explains')
  assert.ok(isBusy() || late === 0, `${late} late or shed, and the machine is idle`)
  assert.ok(rate >= LEAST_RATE, `only ${rate.toFixed(0)} requests a second`)
  assert.deepEqual(handshakes.failed <= 2 * noTurn.length ? [] : handshakes.why, [])
  assert.ok(!handshakes.why.some((one) => one.includes('fail_verify')), handshakes.why.join())
  assert.ok(handshakes.done - before.handshakes.done > 100, 'there were handshakes')
  // Each of three proxies renews at half the life, ± 10 %.
  assert.ok(renewals >= (3 * seconds) / (leafSeconds * 0.65), `only ${renewals} certificates`)
})

/** Keys of the trusted roots. */
async function rootsOf(mesh: RotationMesh): Promise<readonly string[]> {
  return (await mesh.ca()).roots.map(({ keyId }) => keyId)
}

/**
 * From one root to the next, and at each step who had acknowledged what.
 *
 * @returns Keys of the roots that are trusted afterwards.
 */
async function rotated(mesh: RotationMesh): Promise<readonly string[]> {
  const [old] = await rootsOf(mesh)
  const { rotation, roots } = await mesh.rotate()
  assert.deepEqual([rotation.stage, roots[0]?.keyId, roots.length], ['distributing', old, 2])
  let before: CaStatus | undefined
  const switched = await eventually(
    async () => {
      const ca = await mesh.ca()
      if (ca.rotation.stage === 'distributing') before = ca
      return ca
    },
    (ca) => ca.rotation.stage === 'switched',
    ROTATION_MS,
  )
  assert.ok(before)
  const { bundleVersion } = before.rotation
  assert.deepEqual(
    before.holders.map((holder) => holder.bundleVersion),
    [bundleVersion, bundleVersion, bundleVersion],
  )
  const next = switched.roots[0]?.keyId
  assert.notEqual(next, old)
  const steady = await eventually(
    () => mesh.ca(),
    (ca) => ca.rotation.stage === 'steady',
    ROTATION_MS,
  )
  assert.ok(steady.holders.every(({ rootKeyId }) => rootKeyId === next))
  assert.deepEqual(
    steady.roots.map(({ keyId }) => keyId),
    [next],
  )
  return [next ?? '']
}

const LIBFAKETIME = ['x86_64', 'aarch64']
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`)
  .find((path) => existsSync(path))
const skip = LIBFAKETIME === undefined ? 'libfaketime is not installed' : false
const YEAR_MS = 365 * 86_400_000

test('F27 the clock moves a year ahead without a control plane: what is connected goes on, loudly, and all is well when it is back', {
  skip,
}, async () => {
  await using folder = await temporaryFolder()
  const moved = join(folder.path, 'moved')
  writeFileSync(moved, '+0')
  await using mesh = await openRotationMesh([], {
    LD_PRELOAD: LIBFAKETIME ?? '',
    FAKETIME_TIMESTAMP_FILE: moved,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  })
  const socket = await openWebSocket(mesh.outbound, HOST)
  await using client = startClient(mesh.outbound, { host: HOST, connections: 1 })
  await client.answers(500)
  await mesh.killControl()
  writeFileSync(moved, '+365d')
  const [left = 0] = await eventually(
    () => mesh.gauge('weft_identity_expiry_seconds'),
    (seconds) => seconds.every((one) => one < 0),
  )
  assert.ok(Math.abs(left * 1_000 + YEAR_MS - 86_400_000) < 600_000, `${left}`)
  await eventually(
    () => mesh.proxies.map((proxy) => proxy.errors()),
    (logs) => logs.every((log) => /the wall clock was moved/.test(log) && /has EXPIRED/.test(log)),
  )
  await client.answers(1_000)
  await socket.echo()
  const during = { ...client.tally }
  await mesh.startControl()
  await eventually(
    () => mesh.gauge('weft_identity_expiry_seconds'),
    (seconds) => seconds.every((one) => one > 80_000),
    ROTATION_MS,
  )
  // Many connections: these are handshakes with the new certificates.
  await using crowd = startClient(mesh.outbound, { host: HOST, connections: 32 })
  await crowd.answers(1_000)
  await socket.echo()
  const [after, anew] = [await client.stop(), await crowd.stop()]
  socket.end()
  report('F27', `expired for a year: ${renderTally(during)}; recovered: ${renderTally(anew)}`)
  for (const { lost, refused, refusedPosts, wrong } of [during, after, anew]) {
    assert.deepEqual([lost, refused, refusedPosts, wrong], [0, 0, 0, 0])
  }
})

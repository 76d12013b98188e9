import assert from 'node:assert/strict'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, test } from 'node:test'
import { silentLogger } from '@weft/base'
import {
  type CaState,
  CertificateAuthority,
  DEFAULT_CA_POLICY,
  readPem,
  writePem,
} from '@weft/identity'
import { serviceAccountId } from '@weft/model'
import { eventually, FakeClock } from '@weft/testkit'
import type { CertificateCall, CertificateReply } from '@weft/xds'
import { type IdentityOptions, WorkloadIdentity } from './workload-identity.ts'

const HOUR_MS = 3_600_000
const CONNECT = { host: '127.0.0.1', port: 15_010 }
const UNAVAILABLE = 14
const UNIMPLEMENTED = 12

const dirs: string[] = []
afterEach(async () => {
  for (const dir of dirs.splice(0)) await rm(dir, { recursive: true })
})

async function newDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'weft-identity-'))
  dirs.push(dir)
  return dir
}

async function authority(clock: FakeClock, leafMs = HOUR_MS) {
  let kept: CaState | undefined
  const ca = await CertificateAuthority.open(
    'cluster.local',
    {
      store: {
        load: async () => kept,
        save: async (state) => {
          kept = state
        },
      },
      wallMs: () => clock.nowMs(),
      monotonicMs: () => clock.monotonicMs(),
    },
    { ...DEFAULT_CA_POLICY, leafMs },
  )
  const calls: CertificateCall[] = []
  const state = { problem: undefined as string | undefined, code: UNAVAILABLE }
  const ask = async (call: CertificateCall): Promise<CertificateReply> => {
    calls.push(call)
    const { problem, code } = state
    if (problem !== undefined) return { ok: false, code, problem }
    const [csr] = readPem(call.csrPem, 'CERTIFICATE REQUEST')
    assert.ok(csr !== undefined)
    const { NAMESPACE = '', SERVICE_ACCOUNT = '' } = call.metadata
    const outcome = ca.issue(csr, serviceAccountId('cluster.local', NAMESPACE, SERVICE_ACCOUNT))
    if (!outcome.ok) return { ok: false, code: 3, problem: outcome.problem }
    const chain = outcome.svid.chain.map((der) => writePem('CERTIFICATE', der))
    return { ok: true, chainPem: [...chain, outcome.bundle.active.pem] }
  }
  return { ca, calls, ask, state }
}

const METADATA = { NAMESPACE: 'shop', SERVICE_ACCOUNT: 'cart' }

async function started(
  clock: FakeClock,
  ask: (call: CertificateCall) => Promise<CertificateReply>,
  options: Partial<IdentityOptions> = {},
) {
  const identity = new WorkloadIdentity(
    { connect: CONNECT, proof: { kind: 'token', token: 'secret' }, ...options },
    METADATA,
    { clock, random: () => 0.5, log: silentLogger, ask },
  )
  await identity.start()
  return identity
}

test('a proxy gets a certificate for its own key, and another one at half its life', async () => {
  const clock = new FakeClock()
  const { ask, calls } = await authority(clock)
  const identity = await started(clock, ask)
  const first = identity.svid
  assert.equal(first?.id, 'spiffe://cluster.local/ns/shop/sa/cart')
  assert.deepEqual(calls[0]?.proof, { kind: 'token', token: 'secret' })
  let changes = 0
  identity.onChange(() => {
    changes++
  })
  clock.advance(HOUR_MS / 2 - 60_000)
  assert.equal(calls.length, 1)
  clock.advance(120_000)
  await eventually(() => assert.equal(changes, 1))
  assert.notEqual(identity.svid?.keyPem, first?.keyPem)
  assert.equal(identity.status().state, 'valid')
  identity.close()
})

test('renewal is proven by the certificate, where that is known to be possible', async () => {
  const clock = new FakeClock()
  const { ask, calls } = await authority(clock)
  const renewConnect = { host: '127.0.0.1', port: 15_012 }
  const identity = await started(clock, ask, { renewConnect })
  clock.advance(HOUR_MS / 2 + 60_000)
  await eventually(() => assert.equal(calls.length, 2))
  assert.equal(calls[1]?.proof.kind, 'svid')
  assert.deepEqual(calls[1]?.target, renewConnect)
  identity.close()
})

test('an authority that is away is asked again and again; the certificate stays, expired or not', async () => {
  const clock = new FakeClock()
  const { ask, calls, state } = await authority(clock)
  const identity = await started(clock, ask)
  state.problem = 'away'
  clock.advance(HOUR_MS / 2 + 60_000)
  await eventually(() => assert.equal(identity.status().failures, 1))
  assert.equal(identity.status().state, 'valid')
  clock.advance(HOUR_MS)
  await eventually(() => assert.ok(calls.length > 2))
  assert.equal(identity.status().state, 'expired')
  assert.equal(identity.status().problem, 'away')
  assert.ok(identity.svid !== undefined)
  state.problem = undefined
  await eventually(() => {
    clock.advance(61_000)
    assert.equal(identity.status().state, 'valid')
  })
  identity.close()
})

test('a proxy that starts while the authority is away is who it was, by a file of its own', async () => {
  const clock = new FakeClock()
  const { ask, state } = await authority(clock)
  const dir = await newDir()
  const before = await started(clock, ask, { dir })
  before.close()
  assert.equal((await stat(join(dir, 'svid.json'))).mode & 0o777, 0o600)
  state.problem = 'away'
  const after = await started(clock, ask, { dir })
  assert.equal(after.svid?.keyPem, before.svid?.keyPem)
  assert.equal(after.announced, 'spiffe://cluster.local/ns/shop/sa/cart')
  after.close()
})

test('where nobody gives certificates the control plane is told of no identity', async () => {
  const clock = new FakeClock()
  const { ask, state } = await authority(clock)
  state.problem = 'there is no certificate authority here'
  state.code = UNIMPLEMENTED
  const identity = await started(clock, ask)
  assert.equal(identity.announced, undefined)
  assert.equal(identity.status().state, 'absent')
  identity.close()
})

test('a join token names the roots that may come', async () => {
  const clock = new FakeClock()
  const { ask, calls } = await authority(clock)
  const token = `wjt_x@sha256:${'0'.repeat(64)}`
  const identity = await started(clock, ask, { proof: { kind: 'token', token } })
  assert.deepEqual(calls[0]?.proof, { kind: 'token', token: 'wjt_x' })
  assert.equal(identity.svid, undefined)
  assert.match(identity.status().problem ?? '', /not the one/)
  identity.close()
})

test('the bundle of the control plane replaces what came with the certificate, but for its own root', async () => {
  const clock = new FakeClock()
  const { ask, ca } = await authority(clock)
  const other = await authority(clock)
  const identity = await started(clock, ask)
  identity.trust(other.ca.bundlePem)
  const roots = readPem(identity.svid?.rootsPem ?? '', 'CERTIFICATE').map(String)
  assert.equal(roots.length, 2)
  assert.ok(roots.includes(String(readPem(ca.bundlePem, 'CERTIFICATE')[0])))
  identity.trust(ca.bundlePem)
  assert.equal(readPem(identity.svid?.rootsPem ?? '', 'CERTIFICATE').length, 1)
  identity.close()
})

test('F13 a proxy renews as soon as another root signs, once, whatever else it is told', async () => {
  const clock = new FakeClock()
  const { ask, ca, calls } = await authority(clock)
  const identity = await started(clock, ask)
  await ca.rotate()
  identity.trust(ca.bundlePem)
  clock.advance(120_000)
  assert.equal(calls.length, 1, 'the old root signs until everybody knows the new one')
  await ca.advance([])
  const before = identity.svid?.rootPem
  // Every update of the configuration tells the bundle again; that puts nothing off.
  for (let i = 0; i < 6; i++) {
    identity.trust(ca.bundlePem)
    clock.advance(20_000)
  }
  await eventually(() => assert.notEqual(identity.svid?.rootPem, before))
  assert.equal(identity.svid?.rootPem, ca.bundle.active.pem)
  identity.trust(ca.bundlePem)
  clock.advance(120_000)
  assert.equal(calls.length, 2)
  identity.close()
})

test('F27 a wall clock that jumps a year ahead is noticed in seconds, and who failed asks anew when a control plane is heard of', async () => {
  const clock = new FakeClock()
  const { ask, ca, calls, state } = await authority(clock)
  const identity = await started(clock, ask)
  state.problem = 'away'
  clock.jump(365 * 24 * HOUR_MS)
  clock.advance(5_000)
  await eventually(() => assert.equal(identity.status().failures, 1))
  assert.equal(identity.status().state, 'expired')
  for (let i = 0; i < 10; i++) {
    clock.advance(70_000)
    await eventually(() => assert.equal(identity.status().failures, calls.length - 1))
  }
  state.problem = undefined
  await ca.advance([])
  const tries = calls.length
  identity.reachable()
  clock.advance(500)
  await eventually(() => assert.equal(identity.status().state, 'valid'))
  assert.equal(calls.length, tries + 1)
  identity.reachable()
  clock.advance(500)
  assert.equal(calls.length, tries + 1, 'who has a good one asks nobody')
  identity.close()
})

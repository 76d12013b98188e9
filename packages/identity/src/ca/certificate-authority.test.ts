import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { serviceAccountId } from '@weft/model'
import { DAY_MS, NOW_MS, newKey, newRoot, requestFor } from '../identity-fixture.ts'
import { verifySvid } from '../x509/verify-svid.ts'
import { type AuthorityFiles, createIntermediate } from './authority.ts'
import { type CaState, CertificateAuthority, DEFAULT_CA_POLICY } from './certificate-authority.ts'

const DOMAIN = 'cluster.local'
const cart = serviceAccountId(DOMAIN, 'shop', 'cart')

/** A CA whose store can break and whose clock is turned by hand. */
class Bench {
  nowMs = NOW_MS
  stored: CaState | undefined
  isBroken = false

  open(trustDomain = DOMAIN, imported?: AuthorityFiles): Promise<CertificateAuthority> {
    const deps = {
      store: {
        load: () => Promise.resolve(this.stored),
        save: (state: CaState) => {
          if (this.isBroken) return Promise.reject(new Error('disk full'))
          this.stored = structuredClone(state)
          return Promise.resolve()
        },
      },
      wallMs: () => this.nowMs,
      monotonicMs: () => this.nowMs,
    }
    return CertificateAuthority.open(trustDomain, deps, DEFAULT_CA_POLICY, imported)
  }
}

const stageOf = ({ bundle }: CertificateAuthority) => bundle.kind

function issued(ca: CertificateAuthority, key = newKey(), lifetimeMs?: number) {
  const outcome = ca.issue(requestFor(key), cart, lifetimeMs)
  assert.ok(outcome.ok, outcome.ok ? '' : outcome.problem)
  return outcome.svid
}

describe('the CA', () => {
  test('issues what its bundle vouches for, also after a restart', async () => {
    const bench = new Bench()
    const first = await bench.open()
    const { chain } = issued(first)
    const second = await bench.open()
    assert.ok(verifySvid(chain, second.roots, NOW_MS).ok)
    assert.ok(verifySvid(issued(second).chain, first.roots, NOW_MS).ok)
  })

  test('gives 24 hours, and what is asked for within bounds', async () => {
    const ca = await new Bench().open()
    assert.equal(issued(ca).notAfterMs, NOW_MS + DAY_MS)
    assert.equal(issued(ca, newKey(), 3_600_000).notAfterMs, NOW_MS + 3_600_000)
    assert.equal(issued(ca, newKey(), 1).notAfterMs, NOW_MS + 60_000)
    assert.equal(issued(ca, newKey(), 1e15).notAfterMs, NOW_MS + 90 * DAY_MS)
  })

  test('gives a key to one identity only, and once but for lost answers', async () => {
    const bench = new Bench()
    const ca = await bench.open()
    const key = newKey()
    issued(ca, key)
    issued(ca, key)
    const other = ca.issue(requestFor(key), serviceAccountId(DOMAIN, 'shop', 'web'))
    assert.ok(!other.ok && /another identity/.test(other.problem))
    bench.nowMs += 600_001
    const late = ca.issue(requestFor(key), cart)
    assert.ok(!late.ok && /make a new key/.test(late.problem))
  })

  test('says no in words to what is no request', async () => {
    const outcome = (await new Bench().open()).issue(Buffer.from('x'), cart)
    assert.deepEqual(outcome, { ok: false, problem: 'it is no PKCS #10 request' })
  })

  test('does not open for another trust domain', async () => {
    const bench = new Bench()
    await bench.open()
    await assert.rejects(bench.open('other'), /must be of other, got one of cluster.local/)
  })

  test('renews its intermediate at half its life, under the same root', async () => {
    const bench = new Bench()
    const ca = await bench.open()
    const before = ca.signerNotAfterMs
    const old = issued(ca)
    await ca.advance([])
    assert.equal(ca.signerNotAfterMs, before)
    bench.nowMs += 46 * DAY_MS
    await ca.advance([])
    assert.ok(before !== undefined && Number(ca.signerNotAfterMs) > before)
    assert.ok(verifySvid(old.chain, ca.roots, NOW_MS).ok)
    assert.ok(verifySvid(issued(ca).chain, ca.roots, bench.nowMs).ok)
  })

  test('that has expired says so in place of issuing', async () => {
    const bench = new Bench()
    const ca = await bench.open()
    bench.nowMs += 400 * DAY_MS
    const outcome = ca.issue(requestFor(newKey()), cart)
    assert.ok(!outcome.ok && /has expired/.test(outcome.problem))
    await ca.advance([])
    assert.ok(ca.issue(requestFor(newKey()), cart).ok)
  })
})

describe('F13: a rotation of the root', () => {
  const holder = (bundleVersion: number, rootKeyId: string) => [
    { name: 'cart-1', bundleVersion, rootKeyId },
  ]

  test('keeps every certificate believed by everybody, twice in a row', async () => {
    const bench = new Bench()
    const ca = await bench.open()
    for (let round = 0; round < 2; round++) {
      const from = ca.bundle.active.keyId
      const oldSvid = issued(ca)
      const oldRoots = ca.roots
      await ca.rotate()
      assert.equal(stageOf(ca), 'distributing')
      // Until the switch, who has not heard of the new root must still believe new certificates.
      assert.ok(verifySvid(issued(ca).chain, oldRoots, bench.nowMs).ok)
      bench.nowMs += DEFAULT_CA_POLICY.minDistributeMs
      await ca.advance(holder(ca.bundle.version - 1, from))
      assert.deepEqual(ca.waitingFor(holder(ca.bundle.version - 1, from)), [
        { holder: 'cart-1', lacks: 'bundle' },
      ])
      const bothRoots = ca.roots
      await ca.advance(holder(ca.bundle.version, from))
      assert.equal(stageOf(ca), 'switched')
      const newSvid = issued(ca)
      assert.ok(verifySvid(newSvid.chain, bothRoots, bench.nowMs).ok)
      assert.equal(verifySvid(newSvid.chain, oldRoots, bench.nowMs).ok, false)
      assert.ok(verifySvid(oldSvid.chain, ca.roots, bench.nowMs).ok)
      bench.nowMs += DEFAULT_CA_POLICY.maxLeafMs
      await ca.advance(holder(ca.bundle.version, ca.bundle.active.keyId))
      assert.equal(stageOf(ca), 'steady')
      assert.equal(bench.stored?.roots.length, 1)
    }
  })

  test('goes on where it was after a restart', async () => {
    const bench = new Bench()
    await (await bench.open()).rotate()
    const again = await bench.open()
    assert.equal(stageOf(again), 'distributing')
    await again.abandon()
    assert.equal(stageOf(await bench.open()), 'steady')
  })

  test('does not begin when it cannot be stored', async () => {
    const bench = new Bench()
    const ca = await bench.open()
    bench.isBroken = true
    await assert.rejects(ca.rotate(), /disk full/)
    assert.equal(stageOf(ca), 'steady')
    bench.isBroken = false
    await ca.rotate()
    assert.equal(stageOf(ca), 'distributing')
  })

  test("may lead to a root of the user's own", async () => {
    const bench = new Bench()
    const ca = await bench.open()
    await ca.rotate(imported(DOMAIN))
    bench.nowMs += DEFAULT_CA_POLICY.minDistributeMs
    await ca.advance([])
    assert.equal(stageOf(ca), 'switched')
    assert.ok(verifySvid(issued(ca).chain, ca.roots, bench.nowMs).ok)
    await assert.rejects((await new Bench().open()).rotate(imported('other')), /is of spiffe/)
  })
})

describe("the user's own CA", () => {
  test('is what an empty store opens with', async () => {
    const own = imported(DOMAIN)
    const bench = new Bench()
    const ca = await bench.open(DOMAIN, own)
    assert.equal(ca.bundlePem, own.rootPem)
    assert.equal(stageOf(ca), 'steady')
    assert.ok(verifySvid(issued(ca).chain, ca.roots, bench.nowMs).ok)
    assert.equal((await bench.open(DOMAIN, imported(DOMAIN))).bundlePem, own.rootPem)
  })

  test('with another signer of the same root takes over at once, and once only', async () => {
    const root = newRoot(DOMAIN)
    const signer = (days: number) =>
      createIntermediate(root, { nowMs: NOW_MS, lifetimeMs: days * DAY_MS })
    const bench = new Bench()
    const first = signer(30)
    const ca = await bench.open(DOMAIN, first)
    const { stored } = bench
    await ca.import(first)
    assert.equal(bench.stored, stored)
    await ca.import(signer(60))
    assert.equal(ca.signerNotAfterMs, NOW_MS + 60 * DAY_MS)
    assert.equal(stageOf(ca), 'steady')
    await ca.import(imported(DOMAIN))
    assert.equal(stageOf(ca), 'distributing')
  })
})

function imported(trustDomain: string): AuthorityFiles {
  return createIntermediate(newRoot(trustDomain), { nowMs: NOW_MS, lifetimeMs: 90 * DAY_MS })
}

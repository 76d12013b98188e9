import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  abandon,
  advance,
  type BundleHolder,
  type BundleRoot,
  introduce,
  steady,
  type TrustBundle,
  trustedRoots,
  waitingFor,
} from './rotation.ts'

const root = (keyId: string): BundleRoot => ({ keyId, pem: keyId, notAfterMs: 1e15 })
const A = root('a')
const B = root('b')
const POLICY = { maxLeafMs: 1_000, minDistributeMs: 10 }
const holder = (name: string, bundleVersion: number, rootKeyId = 'a'): BundleHolder => ({
  name,
  bundleVersion,
  rootKeyId,
})
const idsOf = (bundle: TrustBundle) => trustedRoots(bundle).map(({ keyId }) => keyId)

describe('a rotation of the root', () => {
  const distributing = introduce(steady(A), B, 0)

  test('distributes the new root before anybody gets a certificate of it', () => {
    assert.equal(distributing.active.keyId, 'a')
    assert.deepEqual(idsOf(distributing), ['a', 'b'])
  })

  test('waits for every proxy to acknowledge, and says for which', () => {
    const holders = [holder('one', 2), holder('two', 1)]
    assert.equal(advance(distributing, holders, 1e6, POLICY), distributing)
    assert.deepEqual(waitingFor(distributing, holders), [{ holder: 'two', lacks: 'bundle' }])
  })

  test('waits a while for proxies that are reconnecting', () => {
    assert.equal(advance(distributing, [], 9, POLICY), distributing)
    assert.equal(advance(distributing, [], 10, POLICY).kind, 'switched')
  })

  const switched = advance(distributing, [holder('one', 2)], 10, POLICY)

  test('then certificates are of the new root, and both are trusted', () => {
    assert.equal(switched.active.keyId, 'b')
    assert.deepEqual(idsOf(switched), ['b', 'a'])
    assert.equal(switched.version, distributing.version)
  })

  test('retires the old root when no certificate of it is left, connected or not', () => {
    assert.equal(advance(switched, [holder('one', 2, 'a')], 1e6, POLICY), switched)
    assert.deepEqual(waitingFor(switched, [holder('one', 2, 'a')]), [
      { holder: 'one', lacks: 'certificate' },
    ])
    assert.equal(advance(switched, [holder('one', 2, 'b')], 1_009, POLICY), switched)
    const done = advance(switched, [holder('one', 2, 'b')], 1_010, POLICY)
    assert.deepEqual(done, steady(B, 3))
  })

  test('is one at a time', () => {
    assert.throws(() => introduce(distributing, root('c'), 0), /must end first/)
    assert.throws(() => introduce(steady(A), A, 0), /the one in use/)
  })

  test('can be abandoned until the switch', () => {
    assert.deepEqual(abandon(distributing), steady(A, 3))
    assert.throws(() => abandon(switched), /are out already/)
  })
})

/** A mesh of four proxies that trust what they acknowledged last. */
class Mesh {
  #nowMs = 0
  #roots = 1
  #bundle: TrustBundle = steady(root('r0'))
  readonly proxies = [0, 1, 2, 3].map((n) => ({
    name: `p${n}`,
    bundleVersion: 1,
    rootKeyId: 'r0',
    trusts: ['r0'],
  }))

  rotate(): void {
    if (this.#bundle.kind !== 'steady') return
    this.#bundle = introduce(this.#bundle, root(`r${this.#roots++}`), this.#nowMs)
  }

  acknowledge(n: number): void {
    const { version } = this.#bundle
    Object.assign(this.#proxy(n), { bundleVersion: version, trusts: idsOf(this.#bundle) })
  }

  renew(n: number): void {
    this.#proxy(n).rootKeyId = this.#bundle.active.keyId
  }

  pass(ms: number): void {
    this.#nowMs += ms
    this.#bundle = advance(this.#bundle, this.proxies, this.#nowMs, POLICY)
  }

  #proxy(n: number) {
    const proxy = this.proxies[n]
    assert.ok(proxy)
    return proxy
  }
}

test('F13: no order of events makes two proxies distrust each other', () => {
  const step = fc.oneof(
    fc.nat(3).map((n) => (mesh: Mesh) => mesh.acknowledge(n)),
    fc.nat(3).map((n) => (mesh: Mesh) => mesh.renew(n)),
    fc.integer({ min: 1, max: 600 }).map((ms) => (mesh: Mesh) => mesh.pass(ms)),
    fc.constant((mesh: Mesh) => mesh.rotate()),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const mesh = new Mesh()
      for (const take of steps) {
        take(mesh)
        const shown = new Set(mesh.proxies.map(({ rootKeyId }) => rootKeyId))
        for (const { trusts } of mesh.proxies) {
          for (const keyId of shown) assert.ok(trusts.includes(keyId))
        }
      }
    }),
    { numRuns: 500 },
  )
})

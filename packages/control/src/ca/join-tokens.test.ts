import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { silentLogger } from '@weft/base'
import { JoinTokens } from './join-tokens.ts'

const CART = { namespace: 'shop', serviceAccount: 'cart', ttlMs: 600_000 }

class Bench {
  nowMs = Date.UTC(2026, 5, 1)
  readonly path: string

  constructor(t: TestContext) {
    const folder = mkdtempSync(join(tmpdir(), 'weft-tokens-'))
    t.after(() => rmSync(folder, { recursive: true }))
    this.path = join(folder, 'join-tokens.json')
  }

  open(): Promise<JoinTokens> {
    return JoinTokens.open({ path: this.path, wallMs: () => this.nowMs, log: silentLogger })
  }
}

test('R65: of a hundred at once one gets it, and a restart changes nothing', async (t) => {
  const bench = new Bench(t)
  const tokens = await bench.open()
  const { token } = await tokens.create({ ...CART, uses: 1 })
  const again = await bench.open()
  const results = await Promise.all(
    Array.from({ length: 100 }, () => again.redeem(token, undefined)),
  )
  assert.deepEqual(
    results.filter(({ ok }) => ok),
    [{ ok: true, namespace: 'shop', serviceAccount: 'cart' }],
  )
  const after = await (await bench.open()).redeem(token, undefined)
  assert.ok(!after.ok && /used already/.test(after.problem))
})

test('R65: a use is on disk before it counts as one', async (t) => {
  const bench = new Bench(t)
  const tokens = await bench.open()
  const { token, id } = await tokens.create({ ...CART, uses: 2 })
  await tokens.redeem(token, undefined)
  const stored = JSON.parse(readFileSync(bench.path, 'utf8')) as { id: string; usesLeft: number }[]
  assert.deepEqual(
    stored.map((one) => [one.id, one.usesLeft]),
    [[id, 1]],
  )
})

test('R65: a use that cannot be stored gives nothing', async (t) => {
  const bench = new Bench(t)
  const tokens = await bench.open()
  const { token } = await tokens.create({ ...CART, uses: 1 })
  // A folder in the place of the file: no rename succeeds.
  rmSync(bench.path)
  mkdirSync(join(bench.path, 'x'), { recursive: true })
  const result = await tokens.redeem(token, undefined)
  assert.ok(!result.ok && result.isOurFault)
  assert.equal((await tokens.redeem(token, undefined)).ok, false)
})

test('R65: a token ends, is bound to its node, and can be revoked', async (t) => {
  const bench = new Bench(t)
  const tokens = await bench.open()
  const bound = await tokens.create({ ...CART, node: 'a', uses: 1 })
  assert.equal((await tokens.redeem(bound.token, 'b')).ok, false)
  assert.equal((await tokens.redeem(bound.token, undefined)).ok, false)
  assert.equal((await tokens.redeem(bound.token, 'a')).ok, true)
  const short = await tokens.create(CART)
  bench.nowMs += 599_999
  assert.equal((await tokens.redeem(short.token, undefined)).ok, true)
  assert.equal((await tokens.redeem(short.token, undefined)).ok, true)
  bench.nowMs += 1
  assert.equal((await tokens.redeem(short.token, undefined)).ok, false)
  assert.deepEqual(tokens.list(), [])
  const other = await tokens.create(CART)
  assert.equal(await tokens.revoke(other.id), true)
  assert.equal((await tokens.redeem(other.token, undefined)).ok, false)
  assert.equal((await (await bench.open()).redeem(other.token, undefined)).ok, false)
})

test('a token has 256 random bits, of which the file knows none', async (t) => {
  const bench = new Bench(t)
  const tokens = await bench.open()
  const { token } = await tokens.create(CART)
  assert.match(token, /^wjt_[A-Za-z0-9_-]{43}$/)
  assert.equal(readFileSync(bench.path, 'utf8').includes(token), false)
  assert.notEqual((await tokens.create(CART)).token, token)
})

test('a file of anything else makes no token good', async (t) => {
  const bench = new Bench(t)
  const { token } = await (await bench.open()).create(CART)
  const [entry] = JSON.parse(readFileSync(bench.path, 'utf8')) as Record<string, unknown>[]
  const bad = [
    '{',
    '{}',
    'null',
    JSON.stringify([{ ...entry, hash: 1 }]),
    JSON.stringify([{ ...entry, usesLeft: 'many' }]),
    JSON.stringify([{ ...entry, usesLeft: null }]),
    JSON.stringify([{ ...entry, expiresAtMs: undefined }]),
  ]
  for (const text of bad) {
    writeFileSync(bench.path, text)
    assert.equal((await (await bench.open()).redeem(token, undefined)).ok, false, text)
  }
})

test('what is out of bounds is not made', async (t) => {
  const tokens = await new Bench(t).open()
  for (const wrong of [
    { ttlMs: 0 },
    { ttlMs: Number.NaN },
    { ttlMs: 1e12 },
    { namespace: 'a/b' },
    { serviceAccount: '' },
    { uses: -1 },
    { uses: 1.5 },
  ]) {
    await assert.rejects(tokens.create({ ...CART, ...wrong }), RangeError)
  }
})

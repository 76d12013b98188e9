/** What is wanted comes to be in etcd, whatever happens in between. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '@weft/base'
import { FakeClock, seededRandom } from '@weft/testkit'
import { ModelEtcd } from './model-etcd-fixture.ts'
import { REGISTRAR_DEFAULTS, Registrar } from './registrar.ts'

function opened() {
  const clock = new FakeClock()
  const etcd = new ModelEtcd(clock)
  const written = new Map<string, number>()
  const states: boolean[] = []
  const seen = { snapshots: 0, reconciles: 0 }
  const registrar = new Registrar(
    { prefix: '/p/', place: '/p/place', ...REGISTRAR_DEFAULTS },
    {
      ...{ clock, log: silentLogger, random: () => 0.5 },
      open: (onEnd) => etcd.open(onEnd),
      onSnapshot: () => void seen.snapshots++,
      onEvents() {},
      onReturn() {},
      onWritten: (key, revision) => void written.set(key, revision),
      onReconcile: () => void seen.reconciles++,
      onState: (isConnected) => void states.push(isConnected),
    },
  )
  /** Time passes in steps, with room for what was promised. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 500) {
      clock.advance(Math.min(500, left))
      for (let i = 0; i < 50; i++) await Promise.resolve()
      etcd.expire()
    }
  }
  const keys = () => [...etcd.kvs.keys()].sort()
  return { clock, etcd, registrar, written, states, seen, pass, keys }
}

test('keys are written in transactions of at most 128, and gathered', async () => {
  const { etcd, registrar, pass, keys } = opened()
  registrar.open()
  for (let i = 0; i < 300; i++) registrar.put(`/p/${i}`, () => 'v')
  await pass(1_000)
  assert.equal(keys().length, 300)
  assert.deepEqual(etcd.batches, [128, 128, 44])
})

test('the lease is kept alive for as long as the broker is there, and ends with it', async () => {
  const { etcd, registrar, pass, keys } = opened()
  registrar.open()
  registrar.put('/p/a', () => 'v')
  await pass(60_000)
  assert.deepEqual(keys(), ['/p/a'])
  await registrar.close()
  assert.deepEqual(keys(), [])
  assert.equal(etcd.kvs.size, 0)
})

test('a lost lease is noticed at the next keepalive, and everything is written again', async () => {
  const { etcd, registrar, pass, keys, written } = opened()
  registrar.open()
  registrar.put('/p/a', () => 'v')
  registrar.put('/p/b', () => 'v')
  await pass(1_000)
  const first = written.get('/p/a') ?? 0
  etcd.revokeAll()
  await pass(3_500)
  assert.deepEqual(keys(), ['/p/a', '/p/b'])
  assert.ok((written.get('/p/a') ?? 0) > first)
})

test('every half minute what is there is compared with what is wanted, both ways', async () => {
  const { etcd, registrar, pass, keys, seen } = opened()
  registrar.open()
  registrar.put('/p/a', () => 'v')
  registrar.put('/p/b', () => 'v')
  await pass(1_000)
  const [kept] = etcd.kvs.values()
  assert.ok(kept)
  etcd.write([{ kind: 'delete', key: '/p/a' }])
  etcd.write([{ kind: 'put', key: '/p/ghost', value: 'v', lease: kept.lease }])
  await pass(5_000)
  assert.deepEqual(keys(), ['/p/b', '/p/ghost'])
  await pass(30_000)
  assert.deepEqual(keys(), ['/p/a', '/p/b'])
  assert.equal(seen.reconciles, 1)
})

test('while etcd is away nothing is forgotten; afterwards what changed meanwhile is written', async () => {
  const { etcd, registrar, pass, keys, states } = opened()
  registrar.open()
  registrar.put('/p/a', () => 'v')
  registrar.put('/p/b', () => 'v')
  await pass(1_000)
  etcd.stop()
  registrar.put('/p/c', () => 'v')
  registrar.delete('/p/b')
  await pass(20_000)
  assert.ok(!registrar.isConnected)
  assert.match(registrar.problem ?? '', /connection/)
  etcd.start()
  await pass(6_000)
  assert.deepEqual(keys(), ['/p/a', '/p/c'])
  assert.deepEqual(states, [true, false, true])
})

test('whatever fails and whenever, at the end etcd has exactly what is wanted (100 random runs)', async () => {
  for (let seed = 0; seed < 100; seed++) {
    const random = seededRandom(seed)
    const { etcd, registrar, pass, keys } = opened()
    const wanted = new Map<string, string>()
    registrar.open()
    for (let step = 0; step < 20; step++) {
      const key = `/p/${Math.floor(random() * 8)}`
      const dice = random()
      if (dice < 0.45) {
        const value = String(random())
        wanted.set(key, value)
        registrar.put(key, () => value)
      } else if (dice < 0.65) {
        wanted.delete(key)
        registrar.delete(key)
      } else if (dice < 0.75) etcd.stop()
      else if (dice < 0.9) etcd.start()
      else etcd.revokeAll()
      if (random() < 0.7) await pass(Math.floor(random() * 4_000) + 1)
    }
    etcd.start()
    await pass(12_000)
    assert.deepEqual(keys(), [...wanted.keys()].sort(), `seed ${seed}`)
    for (const [key, value] of wanted) assert.equal(String(etcd.kvs.get(key)?.value), value)
    await registrar.close()
  }
})

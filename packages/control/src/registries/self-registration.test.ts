import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { OfferedPort } from '@weft/model'
import { FakeClock } from '@weft/testkit'
import type { RegistryState } from './registry.ts'
import { type KeptRegistration, SelfRegistration } from './self-registration.ts'
import { mergeRegistries } from './state/merge.ts'

const HOST = 'reviews.default.svc.cluster.local'

const workload = {
  name: 'reviews-v1',
  namespace: 'default',
  serviceAccount: 'default',
  labels: { app: 'reviews', version: 'v1' },
  locality: { region: '', zone: '', subZone: '' },
  cluster: 'weft',
}

const offer: OfferedPort = {
  service: 'reviews',
  port: 9080,
  protocol: 'http',
  address: '127.0.0.1',
  listenPort: 21_001,
  appAddress: '127.0.0.1',
  appPort: 31_001,
}

const registration = { id: 'node-1', workload, offers: [offer] }

function open(restored: readonly KeptRegistration[] = []) {
  const clock = new FakeClock()
  const options = { domain: 'cluster.local', graceMs: 5_000, restoredGraceMs: 30_000, restored }
  return { clock, registry: new SelfRegistration(options, clock) }
}

async function state(registry: SelfRegistration): Promise<RegistryState> {
  for await (const one of registry.watch(AbortSignal.timeout(1_000))) return one
  throw new Error('nothing was yielded')
}

async function health(registry: SelfRegistration): Promise<string> {
  const [instance] = (await state(registry)).instances.get(HOST) ?? []
  return instance?.health ?? 'none'
}

test('an endpoint gets traffic from the first healthy report on, not before', async () => {
  const { registry } = open()
  registry.connected(registration, 1)
  assert.equal((await state(registry)).services.get(HOST)?.ports[0]?.protocol, 'http')
  assert.equal(await health(registry), 'none')
  registry.reported('node-1', false)
  assert.equal(await health(registry), 'none')
  registry.reported('node-1', true)
  assert.equal(await health(registry), 'healthy')
  registry.reported('node-1', false)
  assert.equal(await health(registry), 'draining')
})

test('a stream that breaks takes nothing away within the grace', async () => {
  const { registry, clock } = open()
  registry.connected(registration, 1)
  registry.reported('node-1', true)
  registry.disconnected('node-1', 1)
  clock.advance(4_999)
  assert.equal(await health(registry), 'healthy')
  registry.connected(registration, 2)
  clock.advance(60_000)
  assert.equal(await health(registry), 'healthy')
  registry.disconnected('node-1', 2)
  clock.advance(5_000)
  assert.equal((await state(registry)).services.size, 0)
  assert.equal(clock.pending, 0)
})

test('the old stream of a node that reconnected may end late', async () => {
  const { registry, clock } = open()
  registry.connected(registration, 1)
  registry.reported('node-1', true)
  registry.connected(registration, 2)
  registry.disconnected('node-1', 1)
  clock.advance(60_000)
  assert.equal(await health(registry), 'healthy')
})

test('a workload that said goodbye is gone as soon as its stream is', async () => {
  const { registry } = open()
  registry.connected(registration, 1)
  registry.reported('node-1', true)
  registry.reported('node-1', false)
  registry.disconnected('node-1', 1)
  assert.equal((await state(registry)).services.size, 0)
})

test('what was restored serves until it is confirmed or its time is over', async () => {
  const kept: KeptRegistration = { ...registration, health: 'healthy' }
  const { registry, clock } = open([
    kept,
    { ...kept, id: 'node-2', offers: [{ ...offer, listenPort: 21_002 }] },
  ])
  assert.equal((await state(registry)).instances.get(HOST)?.length, 2)
  registry.connected(registration, 1)
  clock.advance(30_000)
  assert.deepEqual(
    (await state(registry)).instances.get(HOST)?.map(({ port }) => port),
    [21_001],
  )
})

test('it joins a service that somebody declared, by port or by target port', async () => {
  const { registry } = open()
  registry.connected(registration, 1)
  registry.reported('node-1', true)
  const declared: RegistryState = {
    services: new Map([
      [
        HOST,
        {
          host: HOST,
          name: 'reviews',
          namespace: 'default',
          source: 'kubernetes',
          addresses: ['10.96.0.1'],
          ports: [{ name: 'http', port: 80, protocol: 'http', targetPort: 9080 }],
          resolution: 'registry',
          external: false,
          exportTo: [],
          labels: {},
          origins: [],
        },
      ],
    ]),
    instances: new Map(),
  }
  const merged = mergeRegistries([declared, await state(registry)])
  assert.equal(merged.services.get(HOST)?.source, 'kubernetes')
  assert.deepEqual(
    merged.instances.get(HOST)?.map(({ servicePort, port }) => [servicePort, port]),
    [[80, 21_001]],
  )
})

test('a storm of workloads that come back is few states, and the last holds all of them', async () => {
  const { clock, registry } = open()
  const states: RegistryState[] = []
  const stop = new AbortController()
  const watching = (async () => {
    for await (const one of registry.watch(stop.signal)) states.push(one)
  })()
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
  await turn()
  for (let i = 0; i < 200; i++) {
    const id = `node-${i}`
    registry.connected({ id, workload, offers: [{ ...offer, listenPort: 21_000 + i }] }, i)
    registry.reported(id, true)
    await turn()
    if (i % 50 === 49) {
      clock.advance(10)
      await turn()
    }
  }
  stop.abort()
  await watching
  assert.equal(states.at(-1)?.instances.get(HOST)?.length, 200)
  assert.ok(states.length <= 6, `${states.length} states`)
})

test('a change by itself is seen at once', async () => {
  const { clock, registry } = open()
  clock.advance(10)
  const states: RegistryState[] = []
  const stop = new AbortController()
  const watching = (async () => {
    for await (const one of registry.watch(stop.signal)) states.push(one)
  })()
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
  await turn()
  registry.connected(registration, 1)
  await turn()
  assert.ok(states.at(-1)?.services.has(HOST))
  stop.abort()
  await watching
})

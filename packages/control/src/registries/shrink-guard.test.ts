import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { silentLogger } from '@weft/base'
import { NO_LOCALITY } from '@weft/model'
import { FakeClock } from '@weft/testkit'
import type { MeshService, RegistryState, ServiceInstance } from './registry.ts'
import { ShrinkGuard } from './shrink-guard.ts'

const HOST = 'reviews.default.svc.cluster.local'

function instance(i: number, health: ServiceInstance['health'] = 'healthy'): ServiceInstance {
  const address = `10.0.0.${i}`
  return {
    ...{ servicePort: 80, address, port: 8080, health },
    ...{ weight: 1, labels: {}, locality: NO_LOCALITY },
  }
}

function stateOf(...instances: ServiceInstance[]): RegistryState {
  const service = { host: HOST } as MeshService
  return { services: new Map([[HOST, service]]), instances: new Map([[HOST, instances]]) }
}

const healthy = (count: number) => Array.from({ length: count }, (_, i) => instance(i + 1))

function fixture() {
  const clock = new FakeClock()
  const released: RegistryState[] = []
  const guard = new ShrinkGuard({
    clock,
    log: silentLogger,
    onRelease: (state) => void released.push(state),
  })
  const size = (state: RegistryState) => state.instances.get(HOST)?.length ?? 0
  return { clock, guard, released, take: (state: RegistryState) => size(guard.take(state)), size }
}

describe('R36 the shrink guard', () => {
  test('holds what is gone when it is most of a service, for 30 s', () => {
    const { clock, guard, released, take, size } = fixture()
    assert.equal(take(stateOf(...healthy(4))), 4)
    assert.equal(take(stateOf(instance(1))), 4)
    assert.deepEqual(guard.held, [HOST])
    clock.advance(29_999)
    assert.equal(take(stateOf(instance(1))), 4)
    clock.advance(1)
    assert.deepEqual(released.map(size), [1])
    assert.deepEqual(guard.held, [])
    assert.equal(take(stateOf(instance(1))), 1)
  })

  test('half of them may go', () => {
    const { guard, take } = fixture()
    take(stateOf(...healthy(4)))
    assert.equal(take(stateOf(...healthy(2))), 2)
    assert.deepEqual(guard.held, [])
  })

  test('one by one within ten seconds is at once', () => {
    const { clock, take } = fixture()
    take(stateOf(...healthy(6)))
    for (const left of [5, 4, 3]) {
      clock.advance(100)
      assert.equal(take(stateOf(...healthy(left))), left)
    }
    assert.equal(take(stateOf(...healthy(2))), 3)
    assert.equal(take(stateOf()), 3)
  })

  test('slowly, they may all go', () => {
    const { clock, take } = fixture()
    take(stateOf(...healthy(6)))
    for (const left of [4, 2]) {
      clock.advance(10_000)
      take(stateOf(...healthy(left)))
      clock.advance(10_000)
      assert.equal(take(stateOf(...healthy(left))), left)
    }
  })

  test('who drains first is never held', () => {
    const { take } = fixture()
    take(stateOf(...healthy(4)))
    const draining = [2, 3, 4].map((i) => instance(i, 'draining'))
    assert.equal(take(stateOf(instance(1), ...draining)), 4)
    assert.equal(take(stateOf(instance(1))), 1)
  })

  test('the hold ends when they come back', () => {
    const { clock, guard, released, take } = fixture()
    take(stateOf(...healthy(4)))
    take(stateOf())
    assert.equal(take(stateOf(...healthy(3))), 3)
    assert.deepEqual(guard.held, [])
    clock.advance(60_000)
    assert.deepEqual(released, [])
  })

  test('few endpoints and deleted services are believed at once', () => {
    const { guard, take, size } = fixture()
    take(stateOf(...healthy(2)))
    assert.equal(take(stateOf()), 0)
    take(stateOf(...healthy(9)))
    const none = { services: new Map(), instances: new Map() }
    assert.equal(size(guard.take(none)), 0)
    assert.deepEqual(guard.held, [])
  })

  test('a service that registered itself stays with its endpoints', () => {
    const { clock, guard, released, size } = fixture()
    const state = stateOf(...healthy(4))
    const service = { host: HOST, source: 'selfRegistered' } as MeshService
    guard.take({ ...state, services: new Map([[HOST, service]]) })
    const none = { services: new Map(), instances: new Map() }
    const held = guard.take(none)
    assert.equal(held.services.get(HOST), service)
    assert.equal(size(held), 4)
    clock.advance(30_000)
    assert.equal(released[0]?.services.size, 0)
  })

  test('what nobody doubts is the same object', () => {
    const { guard } = fixture()
    const state = stateOf(...healthy(4))
    assert.equal(guard.take(state), state)
  })
})

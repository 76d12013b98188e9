import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { silentLogger } from '@weft/base'
import { MetricsRegistry, readStats } from '@weft/telemetry'
import { FakeClock } from '@weft/testkit'
import type { Holding } from './heaviest.ts'
import { LoopPressure } from './loop-delay.ts'
import { OverloadManager } from './overload-manager.ts'
import { registerOverloadMetrics } from './overload-metrics.ts'
import { DEFAULT_OVERLOAD, type MonitorName } from './overload-options.ts'
import { OverloadState } from './overload-state.ts'

const MEMORY = 'envoy.resource_monitors.cgroup_memory'
const LOOP = 'weft.resource_monitors.event_loop_delay'

function fixture(holdings: readonly Holding[] = []) {
  const clock = new FakeClock()
  const state = new OverloadState(DEFAULT_OVERLOAD.minIdleMs, () => 0.5)
  const pressures = new Map<MonitorName, number | undefined>([[MEMORY, 0]])
  const told: string[] = []
  const manager = new OverloadManager(DEFAULT_OVERLOAD, {
    ...{ clock, log: silentLogger, state },
    monitors: new Map(
      ([MEMORY, LOOP] as const).map((name) => [name, () => pressures.get(name)] as const),
    ),
    targets: {
      shortenIdle: () => void told.push('idle'),
      bufferAtMost: () => undefined,
      holdings: () => holdings,
    },
    shrinkHeap: () => void told.push('heap'),
    memoryBytes: 1_000_000,
  })
  manager.start()
  const at = (pressure: number | undefined, name: MonitorName = MEMORY) => {
    pressures.set(name, pressure)
    manager.refresh()
  }
  return { clock, state, manager, pressures, told, at }
}

describe('R22 the overload manager', () => {
  test('gives up in order at 85, 92, 95 and 98 %, and takes all back', () => {
    const cuts: number[] = []
    const heavy = { bytes: 1_000_000, cut: () => void cuts.push(1) }
    const { state, told, at } = fixture([heavy])
    const now = () => [
      state.idleReduction > 0,
      state.dropsKeepAlive,
      state.refusePercent,
      cuts.length,
    ]
    at(0.84)
    assert.deepEqual(now(), [false, false, 0, 0])
    at(0.9)
    assert.deepEqual(now(), [true, false, 0, 0])
    assert.deepEqual(told, ['heap', 'idle'])
    at(0.92)
    assert.deepEqual(now(), [true, true, 0, 0])
    at(0.95)
    assert.deepEqual(now(), [true, true, 100, 0])
    at(0.98)
    assert.deepEqual(now(), [true, true, 100, 1])
    assert.equal(state.rejectPercent, 100)
    at(0.5)
    assert.deepEqual(now(), [false, false, 0, 1])
    assert.equal(state.rejectPercent, 0)
  })

  test('idle timeouts shrink with the pressure, never below the least, and none stays none', () => {
    const { state, at } = fixture()
    at(0.9)
    assert.equal(Math.round(state.idleMs(60_000)), 31_000)
    at(0.99)
    assert.equal(state.idleMs(60_000), 2_000)
    assert.equal(state.idleMs(1_000), 1_000)
    assert.equal(state.idleMs(0), 0)
    at(0)
    assert.equal(state.idleMs(60_000), 60_000)
  })

  test('collects garbage at most every five seconds', () => {
    const { clock, told, at } = fixture()
    const collected = () => told.filter((what) => what === 'heap').length
    at(0.86)
    clock.advance(4_500)
    assert.equal(collected(), 1)
    clock.advance(1_000)
    assert.equal(collected(), 2)
  })

  test('looks ten times as often when something is nearly gone', () => {
    const { clock, state, pressures } = fixture()
    pressures.set(MEMORY, 0.7)
    clock.advance(DEFAULT_OVERLOAD.refreshMs)
    pressures.set(MEMORY, 0.96)
    clock.advance(DEFAULT_OVERLOAD.refreshMs / 10)
    assert.equal(state.refusePercent, 100)
  })

  test('F24 a late event loop refuses a share of the requests, more the later it is', () => {
    const { state, at } = fixture()
    at(0.24, LOOP)
    assert.equal(state.refusePercent, 0)
    at(0.4, LOOP)
    assert.equal(state.refusePercent, 20)
    assert.equal(state.refusesRequest(), false)
    at(1.5, LOOP)
    assert.equal(state.refusePercent, 100)
    assert.equal(state.refusesRequest(), true)
    assert.equal(state.counts.requests, 1)
    assert.equal(state.dropsKeepAlive, false)
  })

  test('a monitor that cannot tell keeps what it told last, and that is counted', () => {
    const { state, manager, at } = fixture()
    at(0.96)
    at(undefined)
    assert.equal(state.refusePercent, 100)
    assert.equal(manager.failed.get(MEMORY), 1)
  })

  test("shows itself under Envoy's names", () => {
    const { manager, at } = fixture()
    const registry = new MetricsRegistry()
    registerOverloadMetrics(registry, manager)
    at(0.9)
    const stats = new Map([...readStats(registry, () => true)].map((one) => [one.name, one.value]))
    assert.equal(stats.get('overload.envoy.resource_monitors.cgroup_memory.pressure'), 90)
    assert.equal(stats.get('overload.envoy.overload_actions.reduce_timeouts.scale_percent'), 50)
    assert.equal(stats.get('overload.envoy.overload_actions.reduce_timeouts.active'), 0)
    assert.equal(stats.get('overload.envoy.overload_actions.shrink_heap.active'), 1)
    at(0.99)
    registry.collect()
    const after = new Map([...readStats(registry, () => true)].map((one) => [one.name, one.value]))
    assert.equal(after.get('overload.envoy.overload_actions.stop_accepting_requests.active'), 1)
  })

  test('between two looks, requests may hold what is left, and no more', () => {
    const { state, at } = fixture()
    // Half of what is free: what is let go is free only later.
    at(0.8)
    assert.equal(state.holds(60_000), true)
    assert.equal(state.holds(60_000), false)
    assert.equal(state.counts.streams, 1)
    // While there is plenty, too: a burst comes between two looks.
    at(0.1)
    assert.equal(state.holds(440_000), true)
    assert.equal(state.holds(20_000), false)
  })

  test('stops looking when it is stopped', () => {
    const { clock, manager, state, pressures } = fixture()
    manager.stop()
    pressures.set(MEMORY, 0.99)
    clock.advance(10_000)
    assert.equal(state.refusePercent, 0)
    assert.equal(clock.pending, 0)
  })
})

describe('F24 the event loop', () => {
  test('one stall is a miss and no overload; being late all the time is one', () => {
    const delays = [{ meanMs: 2, maxMs: 10 }, { meanMs: 40, maxMs: 2_000 }, undefined]
    const delay = { take: () => delays.shift() ?? { meanMs: 400, maxMs: 450 }, stop: () => {} }
    const loop = new LoopPressure(delay)
    loop.refresh()
    assert.equal(loop.misses, 0)
    assert.ok(loop.refresh() < 20)
    assert.deepEqual([loop.misses, loop.megaMisses], [1, 1])
    for (let i = 0; i < 12; i++) loop.refresh()
    assert.ok(loop.refresh() > 380)
    assert.equal(loop.takeMaxMs(), 2_000)
    assert.equal(loop.takeMaxMs(), 0)
  })
})

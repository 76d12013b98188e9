import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { silentLogger } from '@weft/base'
import { FakeClock } from '@weft/testkit'
import { engineDeps } from '../exchange/engine-fixture.ts'
import { ConnectionBudget, maxClients } from './connection-budget.ts'
import { openListener } from './listener.ts'
import { ListenerSlot } from './listener-slot.ts'

test('half of the descriptors are for clients, all of them where the limit is unknown', () => {
  assert.equal(maxClients(257), 128)
  assert.equal(maxClients(undefined), Number.POSITIVE_INFINITY)
})

test('refusals are counted all and logged once a second', () => {
  const clock = new FakeClock()
  const lines: string[] = []
  const log = { ...silentLogger, warn: (message: string) => void lines.push(message) }
  const budget = new ConnectionBudget(1, clock, log)
  assert.deepEqual([budget.take(), budget.take(), budget.take()], [true, false, false])
  assert.equal(lines.length, 1)
  clock.advance(1_000)
  assert.equal(budget.take(), false)
  assert.equal(lines.length, 2)
  assert.equal(budget.refused, 3)
  budget.release()
  assert.equal(budget.take(), true)
})

test('at the limit a new client is refused, open ones stay, and a place that is free is taken (R21)', async () => {
  const deps = engineDeps()
  const connections = new ConnectionBudget(2, deps.clock, deps.log)
  const address = { host: '127.0.0.1', port: 0 }
  const listener = await openListener({ address, connections }, new ListenerSlot(), deps)
  const dial = () => connect(listener.address.port, '127.0.0.1').on('error', () => undefined)
  const reach = async (count: number) => {
    while (listener.connections !== count) await new Promise(setImmediate)
  }
  try {
    const open = [dial(), dial()]
    await reach(2)
    await new Promise((resolve) => dial().once('close', resolve))
    assert.equal(connections.refused, 1)
    assert.equal(listener.connections, 2)
    assert.ok(open.every((socket) => !socket.destroyed))
  } finally {
    await listener.close()
  }
  await reach(0)
  assert.equal(connections.take() && connections.take(), true)
})

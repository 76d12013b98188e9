import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { silentLogger } from '@weft/base'
import { FakeClock } from '@weft/testkit'
import type { WorkerEvents } from './messages.ts'
import { type Worker, WorkerPool } from './worker-pool.ts'

interface Process {
  readonly pid: number
  readonly events: WorkerEvents
  killed: boolean
}

function fixture(count = 1) {
  const clock = new FakeClock()
  const processes: Process[] = []
  const told: string[] = []
  const pool = new WorkerPool(count, {
    ...{ clock, log: silentLogger },
    spawn(_index, events) {
      const process = { pid: processes.length + 1, events, killed: false }
      processes.push(process)
      return {
        pid: process.pid,
        send: () => true,
        kill: () => {
          process.killed = true
        },
      }
    },
    onMessage: (worker, { kind }) => {
      if (kind !== 'ready') told.push(`${worker.process.pid} ${kind}`)
    },
    onGone: (worker) => void told.push(`${worker.process.pid} gone`),
  })
  pool.start()
  const ready = (worker: Worker | undefined) => {
    if (worker !== undefined) worker.phase = 'ready'
    clock.advance(600)
    processes[(worker?.process.pid ?? 0) - 1]?.events.onMessage({ kind: 'ready' }, undefined)
  }
  return { clock, pool, processes, told, ready }
}

describe('F25 a worker that dies', () => {
  test('is replaced at once, and then a process waits for the next death', () => {
    const { pool, processes, told, ready } = fixture()
    ready(pool.current[0])
    processes[0]?.events.onExit('SIGABRT')
    assert.deepEqual(
      pool.current.map(({ process }) => process.pid),
      [2],
    )
    assert.equal(processes.length, 2)
    ready(pool.current[0])
    assert.equal(processes.length, 3)
    processes[2]?.events.onMessage({ kind: 'hello' }, undefined)
    assert.deepEqual(told, ['1 gone'])
    processes[1]?.events.onExit('SIGABRT')
    assert.deepEqual(
      pool.current.map(({ process }) => process.pid),
      [3],
    )
    // What it said before it had a place counts now.
    assert.deepEqual(told, ['1 gone', '2 gone', '3 hello'])
    ready(pool.current[0])
    assert.equal(processes.length, 4)
  })

  test('nobody waits for ever, nor when all end', () => {
    const { clock, pool, processes, ready } = fixture()
    ready(pool.current[0])
    processes[0]?.events.onExit('code 1')
    ready(pool.current[0])
    assert.equal(processes[2]?.killed, false)
    clock.advance(600_000)
    assert.equal(processes[2]?.killed, true)
    processes[1]?.events.onExit('code 1')
    pool.current.forEach(ready)
    const spare = processes.at(-1)
    void pool.end({ kind: 'close' })
    assert.equal(spare?.killed, true)
    const { length } = processes
    clock.advance(10_000)
    assert.equal(processes.length, length)
  })

  test('a waiting process that dies itself is nobody’s place', () => {
    const { pool, processes, ready } = fixture()
    ready(pool.current[0])
    processes[0]?.events.onExit('code 1')
    ready(pool.current[0])
    processes[2]?.events.onExit('code 1')
    assert.equal(pool.current.length, 1)
    processes[1]?.events.onExit('code 1')
    assert.deepEqual(
      pool.current.map(({ process }) => process.pid),
      [4],
    )
  })
})

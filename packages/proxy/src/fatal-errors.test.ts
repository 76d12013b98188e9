import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { silentLogger } from '@weft/base'
import { drainOnFatalError } from './fatal-errors.ts'

function fixture() {
  const source = new EventEmitter()
  const done: string[] = []
  let drained = (_error?: Error) => {}
  const proxy = {
    drain() {
      done.push('drain')
      return new Promise<void>((resolve, reject) => {
        drained = (error) => (error === undefined ? resolve() : reject(error))
      })
    },
  }
  const stop = drainOnFatalError(proxy, source, {
    log: silentLogger,
    exit: (code) => done.push(`exit ${code}`),
  })
  return { source, done, stop, drained: (error?: Error) => drained(error) }
}

const settle = () => new Promise((resolve) => setImmediate(resolve))

test('the first error drains, then ends the process with 1', async () => {
  const { source, done, drained } = fixture()
  source.emit('uncaughtException', new Error('bug'))
  await settle()
  assert.deepEqual(done, ['drain'])
  drained()
  await settle()
  assert.deepEqual(done, ['drain', 'exit 1'])
})

test('a drain that fails ends the process all the same', async () => {
  const { source, done, drained } = fixture()
  source.emit('uncaughtException', 'not even an error')
  drained(new Error('also broken'))
  await settle()
  assert.deepEqual(done, ['drain', 'exit 1'])
})

test('a second error does not wait', () => {
  const { source, done } = fixture()
  source.emit('uncaughtException', new Error('bug'))
  source.emit('uncaughtException', new Error('again'))
  assert.deepEqual(done, ['drain', 'exit 1'])
})

test('a proxy that is closed leaves the process alone', () => {
  const { source, stop } = fixture()
  stop()
  assert.equal(source.listenerCount('uncaughtException'), 0)
})

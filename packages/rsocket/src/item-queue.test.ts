import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ItemQueue } from './item-queue.ts'
import { Message } from './message.ts'

const item = (text: string) => new Message(new TextEncoder().encode(text))

test('credit follows consumption: half a window at a time, never more than a window at once', async () => {
  const queue = new ItemQueue(8)
  const asked: number[] = []
  let credit = 8
  queue.onDemand = (n) => {
    asked.push(n)
    credit += n
  }
  for (let round = 0; round < 50; round++) {
    while (credit > 0) {
      credit--
      queue.push(item('x'))
    }
    assert.ok(queue.length <= 8)
    await queue.next()
  }
  assert.deepEqual(new Set(asked), new Set([4]))
})

test('what came before the end or an error is still given', async () => {
  const ended = new ItemQueue(4)
  ended.push(item('a'))
  ended.end()
  ended.push(item('late'))
  assert.equal((await ended.next()).value?.text(), 'a')
  assert.equal((await ended.next()).done, true)
  const failed = new ItemQueue(4)
  failed.push(item('a'))
  failed.fail(new Error('cut'))
  assert.equal((await failed.next()).value?.text(), 'a')
  await assert.rejects(failed.next(), /cut/)
  assert.equal((await failed.next()).done, true)
})

test('who waits is told of items, the end and errors in order; leaving is told once', async () => {
  const queue = new ItemQueue(4)
  const [first, second, third] = [queue.next(), queue.next(), queue.next()]
  queue.push(item('a'))
  queue.fail(new Error('cut'))
  assert.equal((await first).value?.text(), 'a')
  await assert.rejects(second, /cut/)
  assert.equal((await third).done, true)
  const left = new ItemQueue(4)
  let returns = 0
  left.onReturn = () => returns++
  await left.return()
  await left.return()
  assert.equal(returns, 1)
})

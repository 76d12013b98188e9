import assert from 'node:assert/strict'
import test from 'node:test'
import { batchesOf } from './batches.ts'
import { type EtcdOp, txnRequest } from './messages.ts'

/** etcd's default `--max-request-bytes`. */
const ETCD_BYTES = 1_572_864

function puts(count: number, valueBytes: number): EtcdOp[] {
  return Array.from({ length: count }, (_, i): EtcdOp => {
    return { kind: 'put', key: `/p/${i}`, value: 'v'.repeat(valueBytes), lease: 1n }
  })
}

test('short writes go 128 at a time, in their order', () => {
  const ops = [...puts(200, 10), { kind: 'delete', key: '/p/x' } as const]
  const batches = [...batchesOf(ops)]
  assert.deepEqual(
    batches.map(({ length }) => length),
    [128, 73],
  )
  assert.deepEqual(batches.flat(), ops)
})

test('long values make portions that etcd still takes, whatever an instance says of itself', () => {
  const ops = puts(500, 65_000)
  const batches = [...batchesOf(ops)]
  assert.deepEqual(batches.flat(), ops)
  assert.ok(batches.length < 50)
  for (const batch of batches) assert.ok(txnRequest(batch).length < ETCD_BYTES)
})

test('nothing to write is no request', () => {
  assert.deepEqual([...batchesOf([])], [])
})

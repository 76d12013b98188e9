import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import * as messages from './messages.ts'
import { ProtoWriter, readProto } from './protobuf.ts'

const hex = (bytes: Buffer) => bytes.toString('hex')

test('requests have the bytes that protoc writes for rpc.proto', () => {
  assert.equal(hex(messages.rangeRequest('a', 'b', 5, 0)), '0a0161' + '120162' + '1805')
  const put = messages.txnRequest([{ kind: 'put', key: 'k', value: 'v', lease: 7n }])
  assert.equal(hex(put), '120a' + '1208' + '0a016b' + '120176' + '1807')
  const gone = messages.txnRequest([{ kind: 'delete', key: 'k' }])
  assert.equal(hex(gone), '1205' + '1a03' + '0a016b')
  assert.equal(hex(messages.grantRequest(10)), '080a')
  assert.equal(hex(messages.leaseRequest(300n, true)), '08ac02' + '1001')
  assert.equal(
    hex(messages.watchRequest('a', 'b', 9)),
    '0a0a' + '0a0161' + '120162' + '1809' + '4001',
  )
})

test('a lease above 2^53 and a negative time to live keep their value', () => {
  const lease = 7_587_899_068_994_138_885n
  const answer = new ProtoWriter().number(2, lease).number(3, -1n).bytes(5, Buffer.from('k'))
  assert.deepEqual(messages.leaseAnswer(answer.finish()), { lease, ttlS: -1, keys: ['k'] })
})

test('events of a watch, its end, and a compacted revision are read', () => {
  const header = new ProtoWriter().number(3, 12)
  const kv = new ProtoWriter().text(1, 'k').number(3, 12).text(5, 'v')
  const news = new ProtoWriter()
    .message(1, header)
    .message(11, new ProtoWriter().message(2, kv))
    .message(11, new ProtoWriter().number(1, 1).message(2, new ProtoWriter().text(1, 'x')))
  assert.deepEqual(messages.watchNews(news.finish()), {
    revision: 12,
    canceled: undefined,
    events: [
      { kind: 'put', kv: { key: 'k', value: Buffer.from('v'), modRevision: 12 } },
      { kind: 'delete', kv: { key: 'x', value: Buffer.alloc(0), modRevision: 0 } },
    ],
  })
  const over = messages.watchNews(new ProtoWriter().number(4, true).text(6, 'no leader').finish())
  assert.equal(over.canceled, 'no leader')
  assert.equal(
    messages.watchNews(new ProtoWriter().number(5, 40).finish()).canceled,
    'compacted at 40',
  )
})

test('numbers and bytes of every size come back', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.uint8Array(),
      (n, bytes) => {
        const message = new ProtoWriter().number(1, n).bytes(2, bytes).finish()
        const fields = [...readProto(message)]
        if (n !== 0n) assert.equal(fields.shift()?.number, n)
        assert.deepEqual(fields[0]?.bytes, Buffer.from(bytes))
      },
    ),
  )
})

test('what is no message ends with an error, never with a hang or a read beyond the end', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        messages.rangeAnswer(Buffer.from(bytes))
      } catch (error) {
        assert.ok(error instanceof RangeError)
      }
    }),
  )
})

test('the end of a prefix is the first key behind it', () => {
  assert.equal(messages.endOfPrefix('/weft/rsocket/'), '/weft/rsocket0')
})

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  asGrpcReply,
  GrpcMessages,
  grpcStatusIn,
  isGrpc,
  parseGrpcTimeout,
  renderGrpcTimeout,
} from './grpc.ts'

describe('gRPC', () => {
  test('a deadline is read in every unit, and nothing else is', () => {
    const cases: [string | undefined, number | undefined][] = [
      ['2H', 7_200_000],
      ['3M', 180_000],
      ['10S', 10_000],
      ['250m', 250],
      ['1500u', 2],
      ['1n', 1],
      ['0m', 1],
      ['123456789m', undefined],
      ['5', undefined],
      ['-5m', undefined],
      ['5 m', undefined],
      [undefined, undefined],
    ]
    for (const [text, ms] of cases) assert.equal(parseGrpcTimeout(text), ms, String(text))
  })

  test('a deadline has at most eight digits', () => {
    assert.equal(renderGrpcTimeout(1_234.4), '1234m')
    assert.equal(renderGrpcTimeout(0), '1m')
    assert.equal(renderGrpcTimeout(100_000_000), '100000S')
  })

  test('media types that begin with the same letters are not gRPC', () => {
    for (const type of ['application/grpc', 'application/grpc+proto', 'application/grpc;v=1']) {
      assert.ok(isGrpc(type))
    }
    for (const type of ['application/grpc-web', 'application/json', undefined]) {
      assert.ok(!isGrpc(type))
    }
  })

  test('an answer of ours becomes a status, with its text encoded', () => {
    const { status, headers, body } = asGrpcReply({ status: 503, body: '100% überlastet\n' })
    assert.equal(status, 200)
    assert.equal(body, undefined)
    assert.deepEqual(headers, [
      ['content-type', 'application/grpc'],
      ['grpc-status', '14'],
      ['grpc-message', '100%25 %C3%BCberlastet'],
    ])
  })

  test('messages are counted the same at any cut', () => {
    const body = Buffer.concat(
      [0, 3, 70_000, 1].map((length) => {
        const message = Buffer.alloc(5 + length, 7)
        message[0] = 0
        message.writeUInt32BE(length, 1)
        return message
      }),
    )
    for (const size of [1, 2, 5, 6, 4_096, body.length]) {
      const messages = new GrpcMessages()
      for (let at = 0; at < body.length; at += size) {
        messages.take(body, at, Math.min(body.length, at + size))
      }
      assert.equal(messages.count, 4)
    }
  })
})

test('grpc-status in lines of trailers is read as the expression for it reads it', () => {
  const name = fc.constantFrom('grpc-status', 'Grpc-Status', 'grpc-statusx', 'grpc-message', 'x')
  const blank = fc.constantFrom('', ' ', '\t ', '  ')
  const value = fc.constantFrom('0', '16', '7 no', '', 'a', '007', '1234', 'grpc-status: 3')
  const property = fc.property(fc.array(fc.tuple(name, blank, value), { maxLength: 4 }), (all) => {
    const text = all.map(([name, blank, value]) => `${name}:${blank}${value}\r\n`).join('')
    // What stands behind the lines belongs to an earlier message.
    const bytes = Buffer.from(`${text}grpc-status: 9\r\n`, 'latin1')
    const wanted = /^grpc-status:[ \t]*(\d{1,3})/im.exec(text)?.[1]
    assert.equal(grpcStatusIn(bytes, text.length), wanted)
  })
  fc.assert(property, { numRuns: 1_000, seed: 7 })
})

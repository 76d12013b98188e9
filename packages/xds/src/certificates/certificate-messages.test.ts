import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  decodeCertificateRequest,
  decodeCertificateResponse,
  encodeCertificateRequest,
  encodeCertificateResponse,
} from './certificate-messages.ts'

const fields = {
  csrPem: fc.string({ unit: 'grapheme' }),
  validitySeconds: fc.nat(1e9),
  metadata: fc.dictionary(
    fc.string().filter((name) => name !== '__proto__'),
    fc.string({ unit: 'grapheme' }),
    { noNullPrototype: true },
  ),
}
const question = fc.record(fields, { noNullPrototype: true })

test('what is written is read', () => {
  fc.assert(
    fc.property(question, (asked) => {
      assert.deepEqual(decodeCertificateRequest(encodeCertificateRequest(asked)), asked)
    }),
  )
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme' })), (chain) => {
      assert.deepEqual(decodeCertificateResponse(encodeCertificateResponse(chain)), chain)
    }),
  )
})

test('the bytes are those of the published interface', () => {
  const asked = { csrPem: 'a', validitySeconds: 300, metadata: { b: 'c' } }
  assert.equal(
    Buffer.from(encodeCertificateRequest(asked)).toString('hex'),
    '0a0161' + '18ac02' + '220a' + '0a080a0162' + '12031a0163',
  )
  assert.equal(Buffer.from(encodeCertificateResponse(['x', 'y'])).toString('hex'), '0a01780a0179')
})

test('fields that nobody knows, and metadata that is no text, are passed over', () => {
  // 2: "z", 4: {n: 1, t: "s"}
  const bytes = Buffer.from('12017a' + '221a' + '0a0e0a016e1209110000000000' + '00f03f', 'hex')
  const struct = '0a0e0a016e120911000000000000f03f0a080a017412031a0173'
  const whole = Buffer.from(`12017a0a016122${(struct.length / 2).toString(16)}${struct}`, 'hex')
  assert.deepEqual(decodeCertificateRequest(whole), {
    csrPem: 'a',
    validitySeconds: 0,
    metadata: { t: 's' },
  })
  assert.throws(() => decodeCertificateRequest(bytes))
})

test('noise is refused or read, and never does anything else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const read of [decodeCertificateRequest, decodeCertificateResponse]) {
        try {
          read(bytes)
        } catch (error) {
          assert.ok(error instanceof Error)
        }
      }
    }),
    { numRuns: 1_000 },
  )
})

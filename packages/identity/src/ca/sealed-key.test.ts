import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isSealed, openSealedKey, sealKey } from './sealed-key.ts'

const PEM = '-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n'
const sealed = sealKey(PEM, 'correct horse')

describe('a sealed key', () => {
  test('opens with its passphrase', () => {
    assert.ok(isSealed(sealed) && !isSealed(PEM))
    assert.equal(openSealedKey(sealed, 'correct horse'), PEM)
  })

  test('shows nothing of the key, and differs each time', () => {
    assert.ok(!sealed.includes('PRIVATE') && !sealed.includes(Buffer.from(PEM).toString('base64')))
    assert.notEqual(sealKey(PEM, 'correct horse'), sealed)
  })

  test('does not open with another passphrase', () => {
    assert.throws(() => openSealedKey(sealed, 'correct horsf'), /passphrase is wrong/)
  })

  test('does not open when a byte of it changed', () => {
    const body = Buffer.from(sealed.split(' ')[1] ?? '', 'base64')
    for (const at of [0, 16, 28, body.length - 1]) {
      const changed = Buffer.from(body)
      changed[at] = (changed[at] as number) ^ 1
      const text = `weft-sealed-key-1 ${changed.toString('base64')}\n`
      assert.throws(() => openSealedKey(text, 'correct horse'), /file was changed/)
    }
  })

  test('that is something else says so', () => {
    assert.throws(() => openSealedKey(PEM, 'x'), /the file is none/)
    assert.throws(() => openSealedKey('weft-sealed-key-1 aaaa', 'x'), /the file is none/)
  })
})

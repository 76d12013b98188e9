import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { seededRandom } from '@weft/testkit'
import { sessionAddressOf, sessionCookieValue, sessionHeaderValue } from './session-address.ts'

const NOW_MS = 1_700_000_000_000

describe('session addresses', () => {
  test('have the bytes of Envoy', () => {
    // printf '\x0a\x0d10.0.0.7:8080' and with field 2 = 1700000060.
    assert.equal(sessionCookieValue({ host: '10.0.0.7', port: 8080 }), 'Cg0xMC4wLjAuNzo4MDgw')
    assert.equal(
      sessionCookieValue({ host: '10.0.0.7', port: 8080 }, NOW_MS + 60_000),
      Buffer.from([
        0x0a,
        0x0d,
        ...Buffer.from('10.0.0.7:8080'),
        0x10,
        0xbc,
        0xe2,
        0xcf,
        0xaa,
        6,
      ]).toString('base64'),
    )
    assert.equal(sessionHeaderValue({ host: '10.0.0.7', port: 8080 }), btoa('10.0.0.7:8080'))
  })

  test('come back, from cookies and from headers', () => {
    const random = seededRandom(5)
    for (let i = 0; i < 500; i++) {
      const byte = () => Math.floor(random() * 256)
      const host = random() < 0.5 ? `${byte()}.${byte()}.0.${byte()}` : `fd00::${byte()}`
      const address = { host, port: 1 + Math.floor(random() * 65_535) }
      const expiresAtMs = random() < 0.5 ? undefined : NOW_MS + 1_000 + random() * NOW_MS
      const cookie = sessionCookieValue(address, expiresAtMs)
      assert.deepEqual(sessionAddressOf(cookie, NOW_MS), address)
      assert.deepEqual(sessionAddressOf(sessionHeaderValue(address), NOW_MS), address)
    }
  })

  test('end when they expire', () => {
    const value = sessionCookieValue({ host: '10.0.0.7', port: 80 }, NOW_MS)
    assert.deepEqual(sessionAddressOf(value, NOW_MS - 1), { host: '10.0.0.7', port: 80 })
    assert.equal(sessionAddressOf(value, NOW_MS), undefined)
  })

  test('of names, ports that do not exist and unknown fields are none', () => {
    const texts = ['a.test:80', '10.0.0.7', '10.0.0.7:0', '10.0.0.7:70000', '[10.0.0.7]:80', ':80']
    for (const text of texts) assert.equal(sessionAddressOf(btoa(text), NOW_MS), undefined)
    const unknown = Buffer.from([0x1a, 1, 65]).toString('base64')
    assert.equal(sessionAddressOf(unknown, NOW_MS), undefined)
    assert.equal(sessionAddressOf('not base64!', NOW_MS), undefined)
    assert.equal(sessionAddressOf('', NOW_MS), undefined)
  })

  test('are never made of noise, and cuts are never taken for the whole', () => {
    const value = sessionCookieValue({ host: '10.0.0.7', port: 80 }, NOW_MS + 60_000)
    const bytes = Buffer.from(value, 'base64')
    for (let end = 0; end < bytes.length - 6; end++) {
      const cut = bytes.subarray(0, end).toString('base64')
      assert.equal(sessionAddressOf(cut, NOW_MS), undefined)
    }
    const random = seededRandom(6)
    for (let i = 0; i < 2_000; i++) {
      const noise = Buffer.from(Array.from({ length: random() * 40 }, () => random() * 256))
      // Half of them begin as a cookie does.
      if (i % 2 === 0 && noise.length > 0) noise[0] = 0x0a
      const read = sessionAddressOf(noise.toString('base64'), NOW_MS)
      assert.ok(read === undefined || read.port > 0)
      assert.equal(sessionAddressOf(noise.toString('latin1'), NOW_MS), undefined)
    }
  })
})

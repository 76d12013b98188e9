import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { seededRandom } from '@weft/testkit'
import { parseCalls } from './call.ts'
import { CallError } from './call-error.ts'

const parse = (value: unknown) => {
  const [call] = parseCalls(JSON.stringify(value)).calls
  assert.ok(call)
  return call
}

describe('parseCalls()', () => {
  test('fills in what a client would do by itself', () => {
    assert.deepEqual(parse({ host: 'reviews', port: 9080 }), {
      address: 'reviews',
      port: 9080,
      protocol: 'http',
      tls: 'plaintext',
      sni: '',
      alpn: [],
      method: 'GET',
      host: 'reviews',
      path: '/',
      headers: new Map(),
      fieldLines: new Map(),
      direction: 'outbound',
      sourceIp: '127.0.0.1',
      written: { tls: false, port: true, sni: false },
    })
  })

  test('reads who calls, with and without the scheme of a SPIFFE ID', () => {
    const principal = 'spiffe://cluster.local/ns/a/sa/web'
    for (const text of [principal, principal.slice('spiffe://'.length)]) {
      assert.deepEqual(parse({ source: { principal: text, ip: '10.1.2.3' } }).source, {
        principal,
        ip: '10.1.2.3',
      })
    }
    assert.equal(parse({ source: { ip: '10.1.2.3' } }).sourceIp, '10.1.2.3')
    assert.deepEqual(parse({ jwt: { sub: 'u' } }).claims, { sub: 'u' })
  })

  test('refuses a caller that cannot be', () => {
    const refused = (value: object, message: RegExp) =>
      assert.throws(() => parse(value), { name: 'CallError', message })
    refused({ source: { principal: 'a b' } }, /source.principal must be like/)
    refused({ source: { user: 'x' } }, /source has no field 'user': known are/)
    refused({ source: { principal: 'd/ns/a/sa/x', namespace: 'b' } }, /is of namespace a/)
    refused({ source: { ip: 'here' } }, /source.ip must be an IP address/)
    refused({ destination: { port: 0 } }, /destination.port must be from 1 to 65535/)
    refused({ jwt: {}, token: 'x' }, /give one of them/)
    refused({ jwt: [] }, /jwt must be an object/)
  })

  test('writes the address into Host as HTTP clients do', () => {
    assert.equal(parse({ address: '10.0.0.1', port: 9080 }).host, '10.0.0.1:9080')
    assert.equal(parse({ address: '10.0.0.1', port: 80 }).host, '10.0.0.1')
    assert.equal(parse({ address: 'fd00::1', port: 81 }).host, '[fd00::1]:81')
  })

  test('keeps an empty host when the call says so', () => {
    assert.equal(parse({ address: '10.0.0.1', host: '' }).host, '')
  })

  test('takes https for TLS on 443 with the host as SNI', () => {
    const call = parse({ protocol: 'https', host: 'shop.example.com' })
    assert.deepEqual(
      [call.tls, call.port, call.sni, call.alpn],
      ['tls', 443, 'shop.example.com', ['http/1.1']],
    )
  })

  test('lower-cases header names, joins lists, and takes Host out of them', () => {
    const call = parse({ headers: { 'X-A': ['1', '2'], Host: 'shop:8080' } })
    assert.deepEqual([...call.headers], [['x-a', '1,2']])
    assert.equal(call.host, 'shop:8080')
  })

  test('answers come in the form of the question', () => {
    assert.equal(parseCalls('{"port":1}').form, 'one')
    assert.equal(parseCalls('[{"port":1}]').form, 'array')
    const lines = parseCalls('{"port":1}\n\n{"port":2}\n')
    assert.deepEqual([lines.form, lines.calls.map(({ port }) => port)], ['lines', [1, 2]])
  })

  const refused: [unknown, RegExp][] = [
    [{ hots: 'x' }, /unknown field 'hots': did you mean host\?/],
    [{ port: 0 }, /port must be from 1 to 65535/],
    [{ port: '80x' }, /port must be from 1 to 65535/],
    [{ protocol: 'htp' }, /protocol must be one of/],
    [{ tls: 'yes' }, /tls must be/],
    [{ headers: ['a'] }, /headers must be an object/],
    [{ headers: { a: {} } }, /header a must be a text/],
    [{ direction: 'up' }, /direction must be/],
    ['x', /must be an object/],
    [null, /must be an object/],
  ]
  for (const [value, message] of refused) {
    test(`refuses ${JSON.stringify(value)}`, () => {
      assert.throws(() => parseCalls(JSON.stringify(value)), { name: 'CallError', message })
    })
  }

  test('says which of several calls is wrong', () => {
    assert.throws(() => parseCalls('[{},{"port":-1}]'), /Call 2: port/)
    assert.throws(() => parseCalls('{}\n{"port":\n'), /Line 2 of the calls is not JSON/)
  })

  test('never throws anything but a CallError', () => {
    const random = seededRandom(20_261_121)
    const parts = [
      '{',
      '}',
      '[',
      ']',
      '"port"',
      ':',
      ',',
      '80',
      '"host"',
      '"x"',
      'null',
      '\n',
      '-1',
    ]
    for (let i = 0; i < 5_000; i++) {
      const length = Math.floor(random() * 12)
      const text = Array.from({ length }, () => parts[Math.floor(random() * parts.length)]).join('')
      try {
        parseCalls(text)
      } catch (error) {
        assert.ok(error instanceof CallError, `${text}: ${error}`)
      }
    }
  })
})

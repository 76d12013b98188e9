import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RSocketError } from './errors.ts'
import { encode, Message } from './message.ts'
import { readOptions, usablePlaces } from './options.ts'
import { readCall, renderCall } from './route.ts'

const SCHEMES = ['tcp', 'tls', 'tcps', 'ws', 'wss']
const read = (options: Parameters<typeof readOptions>[0]) =>
  readOptions(options, SCHEMES, () => 'id')

test('defaults are those that the types say', () => {
  const { limits, lease, ...rest } = read({ brokers: 'tls://b:7878' })
  assert.deepEqual(rest, {
    brokers: [{ uri: 'tls://b:7878', zone: '' }],
    ...{
      instance: 'id',
      app: 'app',
      namespace: 'default',
      labels: {},
      zone: '',
      weight: 1,
      links: 2,
    },
    ...{ dataMime: 'application/json', connectTimeoutMs: 10_000, waitForLinkMs: 5_000 },
    ...{ keepaliveMs: 20_000, maxLifetimeMs: 60_000 },
  })
  assert.deepEqual(limits, {
    ...{ streams: 16_384, payloadBytes: 16_777_215, prefetch: 64, waitingCalls: 16_384 },
  })
  assert.deepEqual(lease, { initial: 1_024, min: 16, max: 16_384, highLagMs: 100 })
  assert.equal(read({ brokers: 'tcp://b:1', lease: false }).lease, undefined)
})

test('what is wrong is said with what is right', () => {
  const problem = (options: object) => {
    try {
      read({ brokers: 'tcp://b:1', ...options })
      return ''
    } catch (error) {
      return String(error)
    }
  }
  assert.match(problem({ brokers: ['b:7878'] }), /one of the schemes tcp, tls.*got b:7878/)
  assert.match(problem({ brokers: ['tcp://b'] }), /must have a port, got tcp:\/\/b/)
  assert.match(problem({ brokers: 'nonsense' }), /must be a URI/)
  assert.match(problem({ links: 1.5 }), /links must be a whole number of 1 to 16, got 1.5/)
  assert.match(problem({ limits: { prefetch: 0 } }), /limits.prefetch/)
  assert.match(problem({ lease: { max: 20 } }), /lease.initial must be a whole number of 16 to 20/)
  assert.match(problem({ keepaliveMs: 0 }), /keepaliveMs/)
  assert.match(problem({ keepaliveMs: 500, maxLifetimeMs: 500 }), /maxLifetimeMs/)
  assert.match(problem({ weight: Number.NaN }), /weight/)
})

test('brokers that are told of are believed only within the kinds of the first list', () => {
  const first = [{ uri: 'tls://a:1', zone: '' }]
  const uris = ['tls://b:2', 'tcp://evil:4', 'tcps://c:3', 'ws://d:5', 7, null, 'tls://']
  assert.deepEqual(usablePlaces(uris, ['z1', 'z2', 'z3'], first, SCHEMES), [
    { uri: 'tls://b:2', zone: 'z1' },
    { uri: 'tcps://c:3', zone: 'z3' },
  ])
  assert.deepEqual(usablePlaces(['tls://b:2'], 'z', first, SCHEMES), [
    { uri: 'tls://b:2', zone: '' },
  ])
  assert.deepEqual(usablePlaces('tls://b:2', undefined, first, SCHEMES), [])
})

test('a call names whom it is for and carries its tags', () => {
  const metadata = renderCall('com.acme.Cart', 'add', {
    metadata: { user: 'é=1' },
    ...{ timeoutMs: 250, idempotent: true, userToken: 'jwt' },
  })
  const route = readCall(metadata)
  assert.deepEqual([route?.service, route?.method], ['com.acme.Cart', 'add'])
  assert.deepEqual({ ...route?.tags }, { user: 'é=1', timeout: '250ms', 'x-idempotent': '1' })
  assert.throws(() => renderCall('s', 'm', { metadata: { k: 'x'.repeat(300) } }), RangeError)
  for (const bad of [undefined, Uint8Array.of(), Uint8Array.of(0xfe, 0, 0, 9, 1)]) {
    assert.equal(readCall(bad), undefined)
  }
  // A tag cannot reach what every object has.
  assert.equal(readCall(renderCall('s', 'm', {}))?.tags.constructor, undefined)
})

test('data: bytes, text, nothing, JSON', () => {
  const text = (value: unknown) => new TextDecoder().decode(encode(value))
  assert.equal(text('ü'), 'ü')
  assert.equal(text({ a: 1 }), '{"a":1}')
  assert.equal(text(undefined), '')
  assert.equal(text(null), 'null')
  assert.deepEqual(encode(Uint8Array.of(1, 2)), Uint8Array.of(1, 2))
  assert.deepEqual(encode(new Uint16Array([0x0101])), Uint8Array.of(1, 1))
  assert.deepEqual(encode(new Message(Uint8Array.of(3))), Uint8Array.of(3))
  assert.throws(() => encode(() => 1), TypeError)
  assert.throws(() => encode(1n), TypeError)
  assert.throws(() => new Message(Uint8Array.of(0xff)).json(), TypeError)
})

test('errors have codes that may end a call, and say what they promise', () => {
  const error = new RSocketError('REJECTED', 'WEFT-503 draining')
  assert.deepEqual([error.code, error.retrySafe, error.status], [0x202, true, 503])
  assert.equal(new RSocketError('CANCELED', 'WEFT-504').retrySafe, false)
  assert.equal(new RSocketError(0x403, '').codeName, 'DENIED')
  assert.equal(new RSocketError(0x1001, '').codeName, undefined)
  for (const code of [0, 1, 0x300, 0x7fff_ffff, 1.5]) {
    assert.throws(() => new RSocketError(code, ''), RangeError)
  }
})

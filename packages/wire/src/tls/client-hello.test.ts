import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { type ConnectionOptions, connect } from 'node:tls'
import fc from 'fast-check'
import { MAX_CLIENT_HELLO_BYTES, parseClientHello } from './client-hello.ts'

/** What Node's own client sends first. */
async function realHello(options: ConnectionOptions): Promise<Buffer> {
  const wire = new Duplex({
    read() {},
    write: (chunk, _, done) => done(void wire.emit('sent', chunk)),
  })
  const sent = once(wire, 'sent')
  const client = connect({ socket: wire, ...options })
  client.on('error', () => undefined)
  const [bytes] = (await sent) as [Buffer]
  client.destroy()
  return bytes
}

const u16 = (value: number) => Buffer.from([value >> 8, value & 0xff])
const vector = (bytes: Uint8Array) => Buffer.concat([u16(bytes.length), bytes])
const extension = (type: number, value: Uint8Array) => Buffer.concat([u16(type), vector(value)])
const named = (name: Uint8Array) =>
  extension(0, vector(Buffer.concat([Buffer.from([0]), vector(name)])))

/** @param recordBytes How much of the message goes into one record. */
function helloOf(extensions: readonly Uint8Array[], recordBytes = 16_384): Buffer {
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 9),
    Buffer.from([0]),
    vector(u16(0x1301)),
    Buffer.from([1, 0]),
    vector(Buffer.concat(extensions)),
  ])
  const message = Buffer.concat([Buffer.from([1, 0]), vector(body)])
  const records: Buffer[] = []
  for (let at = 0; at < message.length; at += recordBytes) {
    records.push(Buffer.from([22, 3, 1]), vector(message.subarray(at, at + recordBytes)))
  }
  return Buffer.concat(records)
}

test('reads what Node sends, with a post-quantum key share', async () => {
  const bytes = await realHello({
    servername: 'Shop.Example.COM',
    ALPNProtocols: ['h2', 'http/1.1'],
    ecdhCurve: 'X25519MLKEM768:X25519',
  })
  assert.ok(bytes.length > 1_300)
  const result = parseClientHello(bytes, bytes.length)
  assert.equal(result.kind, 'hello')
  if (result.kind !== 'hello') return
  assert.equal(result.hello.serverName, 'shop.example.com')
  assert.deepEqual(result.hello.alpn, ['h2', 'http/1.1'])
  assert.ok(result.hello.versions.includes(0x0304))
})

test('any cut of more than 16 KB, over any records, asks for more until the last byte', () => {
  const extensions = [named(Buffer.from('a.test')), extension(51, Buffer.alloc(17_000, 1))]
  for (const recordBytes of [1, 100, 16_384]) {
    const bytes = helloOf(extensions, recordBytes)
    if (bytes.length > MAX_CLIENT_HELLO_BYTES) {
      assert.equal(parseClientHello(bytes, MAX_CLIENT_HELLO_BYTES).kind, 'invalid')
      continue
    }
    for (let cut = 0; cut < bytes.length; cut += recordBytes === 100 ? 1 : 97) {
      assert.equal(parseClientHello(bytes, cut).kind, 'incomplete', `cut at ${cut}`)
    }
    assert.equal(parseClientHello(bytes, bytes.length - 1).kind, 'incomplete')
    const result = parseClientHello(bytes, bytes.length)
    assert.equal(result.kind === 'hello' && result.hello.serverName, 'a.test')
  }
})

test('what is malformed is refused', () => {
  const kindOf = (bytes: Buffer) => parseClientHello(bytes, bytes.length).kind
  assert.equal(kindOf(helloOf([named(Buffer.from('a\0b'))])), 'invalid')
  assert.equal(kindOf(helloOf([named(Buffer.alloc(0))])), 'invalid')
  assert.equal(kindOf(helloOf([named(Buffer.from('a')), named(Buffer.from('b'))])), 'invalid')
  assert.equal(kindOf(helloOf([extension(16, Buffer.from([0, 5, 1, 65]))])), 'invalid')
  assert.equal(kindOf(Buffer.from('GET / HTTP/1.1\r\n')), 'invalid')
  assert.equal(kindOf(Buffer.from([22, 3, 1, 0, 0])), 'invalid')
  assert.equal(kindOf(Buffer.from([22, 3, 1, 0x40, 0, 1, 1, 0, 0])), 'invalid')
})

test('noise and changed bytes never throw, and no prefix of an incomplete start is called invalid', () => {
  const valid = helloOf([named(Buffer.from('a.test'))], 20)
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 200 }),
        fc
          .tuple(fc.nat(valid.length - 1), fc.nat(255))
          .map(([at, value]) => valid.with(at, value) as Uint8Array),
      ),
      (bytes) => {
        const { kind } = parseClientHello(bytes, bytes.length)
        if (kind === 'invalid') return
        for (let cut = 0; cut < bytes.length; cut++) {
          assert.notEqual(parseClientHello(bytes, cut).kind, 'invalid')
        }
      },
    ),
  )
})

/** RFC 8701: values that nobody knows, among those that are offered. */
const GREASE = [0x0a0a, 0x1a1a, 0xfafa]

test('values nobody knows, an encrypted inner hello and a great key share are passed over', () => {
  const versions = Buffer.concat([Buffer.from([8, 0x1a, 0x1a, 3, 4, 3, 3, 0xfa, 0xfa])])
  const alpn = Buffer.concat([
    Buffer.from([2, 0x0a, 0x0a]),
    Buffer.from([2]),
    Buffer.from('h2'),
    Buffer.from([8]),
    Buffer.from('http/1.1'),
  ])
  const extensions = [
    extension(GREASE[0] ?? 0, Buffer.alloc(0)),
    // The name of the outer hello is the one that routes.
    named(Buffer.from('Outer.Example.com.')),
    extension(0xfe0d, Buffer.alloc(281, 7)),
    extension(16, vector(alpn)),
    extension(51, Buffer.alloc(1_263, 3)),
    extension(43, versions),
    extension(GREASE[2] ?? 0, Buffer.from([0])),
  ]
  for (const recordBytes of [16_384, 700, 64]) {
    const bytes = helloOf(extensions, recordBytes)
    assert.ok(bytes.length > 1_500)
    assert.deepEqual(parseClientHello(bytes, bytes.length), {
      kind: 'hello',
      hello: {
        serverName: 'outer.example.com',
        alpn: ['\n\n', 'h2', 'http/1.1'],
        versions: [0x1a1a, 0x0304, 0x0303, 0xfafa],
      },
    })
  }
})

test('a hello without a name, or without any extension, is a hello', () => {
  const bytes = helloOf([extension(43, Buffer.from([2, 3, 4]))])
  const result = parseClientHello(bytes, bytes.length)
  assert.deepEqual(result, {
    kind: 'hello',
    hello: { serverName: undefined, alpn: [], versions: [0x0304] },
  })
  const body = Buffer.concat([
    Buffer.from([3, 1]),
    Buffer.alloc(32),
    Buffer.from([0, 0, 2, 0, 47, 1, 0]),
  ])
  const message = Buffer.concat([Buffer.from([1, 0]), vector(body)])
  const old = Buffer.concat([Buffer.from([22, 3, 1]), vector(message)])
  assert.deepEqual(parseClientHello(old, old.length), {
    kind: 'hello',
    hello: { serverName: undefined, alpn: [], versions: [0x0301] },
  })
})

test('any hello gives the same answer over any records and with any bytes behind it', () => {
  const value = fc.uint8Array({ maxLength: 2_000 })
  // 0, 16 and 43 have a form of their own.
  const others = fc.uniqueArray(fc.tuple(fc.integer({ min: 44, max: 65_535 }), value), {
    selector: ([type]) => type,
    maxLength: 4,
  })
  fc.assert(
    fc.property(
      others,
      fc.stringMatching(/^[a-z0-9-]{1,20}(\.[a-z0-9-]{1,20}){0,3}$/),
      fc.integer({ min: 30, max: 16_384 }),
      fc.uint8Array({ maxLength: 50 }),
      (extensions, name, recordBytes, rest) => {
        const all = extensions.map(([type, bytes]) => extension(type, bytes))
        const hello = helloOf([...all, named(Buffer.from(name))], recordBytes)
        const bytes = Buffer.concat([hello, rest])
        const result = parseClientHello(bytes, bytes.length)
        assert.equal(result.kind === 'hello' && result.hello.serverName, name)
        for (let cut = 0; cut < hello.length; cut += 101) {
          assert.equal(parseClientHello(bytes, cut).kind, 'incomplete')
        }
      },
    ),
  )
})

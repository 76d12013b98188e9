import assert from 'node:assert/strict'
import { isIPv4, isIPv6 } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { crc32c } from './crc32c.ts'
import type { ProxyHeaderResult } from './header.ts'
import { ipFromBytes, ipToBytes } from './ip-bytes.ts'
import { MAX_PROXY_HEADER_BYTES, parseProxyHeader, renderProxyHeader } from './proxy-protocol.ts'

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const read = (bytes: Uint8Array | string) => {
  const buffer = Buffer.from(bytes as string, 'latin1')
  return parseProxyHeader(buffer, buffer.length)
}
const v2 = (command: number, family: number, body: Uint8Array) =>
  Buffer.concat([
    SIGNATURE,
    Buffer.from([command, family, body.length >> 8, body.length & 255]),
    body,
  ])
const FOUR = Buffer.from([192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0x01, 0xbb])

/** The first answer that is not `incomplete` when the bytes come one by one. */
function byteByByte(bytes: Uint8Array): ProxyHeaderResult {
  for (let length = 0; length <= bytes.length; length++) {
    const result = parseProxyHeader(bytes, length)
    if (result.kind !== 'incomplete') return result
  }
  return { kind: 'incomplete' }
}

test('version 1 names both ends, and says where the connection begins', () => {
  const line = 'PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n'
  const addresses = {
    source: { host: '192.0.2.1', port: 56_324 },
    destination: { host: '198.51.100.7', port: 443 },
  }
  assert.deepEqual(read(`${line}GET / HTTP/1.1\r\n`), {
    kind: 'header',
    header: { version: 1, addresses, tlvs: [] },
    length: line.length,
  })
  const six = read('PROXY TCP6 2001:DB8:0::1 ::ffff:10.0.0.1 1 65535\r\n')
  assert.deepEqual(six.kind === 'header' && six.header.addresses, {
    source: { host: '2001:db8::1', port: 1 },
    destination: { host: '10.0.0.1', port: 65_535 },
  })
})

test('version 1 may say that the client is unknown, with or without words after it', () => {
  for (const line of ['PROXY UNKNOWN\r\n', 'PROXY UNKNOWN ffff:f::f whatever 1\r\n']) {
    const header = { version: 1, tlvs: [] }
    assert.deepEqual(read(line), { kind: 'header', header, length: line.length })
  }
})

test('version 1 that is not to the letter is refused', () => {
  const wrong = [
    'PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\n',
    'PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\rX',
    'PROXY TCP4  192.0.2.1 198.51.100.7 56324 443\r\n',
    'PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 \r\n',
    'PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n',
    'PROXY TCP4 192.0.2.01 198.51.100.7 56324 443\r\n',
    'PROXY TCP4 ::1 ::2 56324 443\r\n',
    'PROXY TCP6 192.0.2.1 198.51.100.7 56324 443\r\n',
    'PROXY TCP6 fe80::1%eth0 ::2 56324 443\r\n',
    'PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n',
    'PROXY TCP4 192.0.2.1 198.51.100.7 -1 443\r\n',
    'PROXY TCP4 192.0.2.1 198.51.100.7 056 443\r\n',
    'PROXY UDP4 192.0.2.1 198.51.100.7 56324 443\r\n',
    'PROXY tcp4 192.0.2.1 198.51.100.7 56324 443\r\n',
    'PROXY \r\n',
    'PROXY UNKNOWN\0\r\n',
    `PROXY UNKNOWN ${'x'.repeat(100)}\r\n`,
  ]
  for (const line of wrong) assert.equal(read(line).kind, 'invalid', JSON.stringify(line))
  assert.equal(read(`PROXY UNKNOWN ${'x'.repeat(91)}\r\n`).kind, 'header', 'the longest line')
  assert.equal(read(`PROXY UNKNOWN ${'x'.repeat(92)}\r\n`).kind, 'invalid', 'one byte more')
})

test('other protocols are told from a header by their first byte that differs', () => {
  for (const bytes of ['GET / HTTP/1.1', 'PRI * HTTP/2.0', 'POST', '\x16\x03\x01', '\r\n\r\nX']) {
    assert.equal(read(bytes).kind, 'absent', JSON.stringify(bytes))
  }
  for (const bytes of ['', 'P', 'PROXY', '\r', '\r\n\r\n\0\r\nQUIT\n']) {
    assert.equal(read(bytes).kind, 'incomplete', JSON.stringify(bytes))
  }
})

test('version 2 names both ends, for IPv4 and IPv6, and keeps its TLVs', () => {
  const authority = Buffer.concat([Buffer.from([2, 0, 3]), Buffer.from('web')])
  const noop = Buffer.from([4, 0, 2, 0, 0])
  const bytes = v2(0x21, 0x11, Buffer.concat([FOUR, noop, authority]))
  assert.deepEqual(read(Buffer.concat([bytes, Buffer.from('more')])), {
    kind: 'header',
    header: {
      version: 2,
      addresses: {
        source: { host: '192.0.2.1', port: 56_324 },
        destination: { host: '198.51.100.7', port: 443 },
      },
      tlvs: [{ type: 2, value: Uint8Array.from(Buffer.from('web')) }],
    },
    length: bytes.length,
  })
  const six = Buffer.concat([
    Buffer.from('20010db8000000000000000000000001', 'hex'),
    Buffer.from('20010db8000000000001000000000000', 'hex'),
    Buffer.from([0, 1, 0, 2]),
  ])
  const result = read(v2(0x21, 0x21, six))
  assert.deepEqual(result.kind === 'header' && result.header.addresses, {
    source: { host: '2001:db8::1', port: 1 },
    destination: { host: '2001:db8:0:0:1::', port: 2 },
  })
})

test('version 2 without IP addresses leaves the connection its own', () => {
  const ownEnds = [
    v2(0x20, 0x00, Buffer.alloc(0)),
    v2(0x20, 0xff, Buffer.from('anything at all')),
    v2(0x21, 0x00, Buffer.alloc(0)),
    v2(0x21, 0x31, Buffer.alloc(216)),
  ]
  for (const bytes of ownEnds) {
    const header = { version: 2, tlvs: [] }
    assert.deepEqual(read(bytes), { kind: 'header', header, length: bytes.length })
  }
})

test('version 2 that is malformed is refused', () => {
  const wrong: readonly (readonly [string, Buffer])[] = [
    ['another version', v2(0x11, 0x11, FOUR)],
    ['another command', v2(0x22, 0x11, FOUR)],
    ['another family', v2(0x21, 0x41, FOUR)],
    ['another transport', v2(0x21, 0x13, FOUR)],
    ['too short for IPv4', v2(0x21, 0x11, FOUR.subarray(1))],
    ['too short for IPv6', v2(0x21, 0x21, FOUR)],
    ['a TLV cut off', v2(0x21, 0x11, Buffer.concat([FOUR, Buffer.from([2, 0])]))],
    ['a TLV past the end', v2(0x21, 0x11, Buffer.concat([FOUR, Buffer.from([2, 0, 1])]))],
    ['a short checksum', v2(0x21, 0x11, Buffer.concat([FOUR, Buffer.from([3, 0, 1, 0])]))],
    ['a wrong checksum', v2(0x21, 0x11, Buffer.concat([FOUR, Buffer.from([3, 0, 4, 1, 2, 3, 4])]))],
  ]
  for (const [what, bytes] of wrong) assert.equal(read(bytes).kind, 'invalid', what)
})

test('a right checksum is believed', () => {
  assert.equal(crc32c(Buffer.from('123456789'), 9), 0xe3069283)
  const bytes = v2(0x21, 0x11, Buffer.concat([FOUR, Buffer.from([3, 0, 4, 0, 0, 0, 0])]))
  bytes.writeUInt32BE(crc32c(bytes, bytes.length - 4), bytes.length - 4)
  assert.equal(read(bytes).kind, 'header')
})

const ip = fc.oneof(fc.ipV4(), fc.ipV6())
const end = fc.record({ host: ip, port: fc.nat(65_535) })
const canonical = (host: string) => ipFromBytes(ipToBytes(host) as Uint8Array)

test('what is rendered is read again, and any cut of it gives the same answer', () => {
  const tlv = fc.record(
    { type: fc.integer({ min: 0xe0, max: 0xef }), value: fc.uint8Array() },
    { noNullPrototype: true },
  )
  const headers = fc.record({
    version: fc.constantFrom('v1', 'v2'),
    source: end,
    destination: end,
    tlvs: fc.array(tlv, { maxLength: 3 }),
    rest: fc.uint8Array({ maxLength: 20 }),
  })
  fc.assert(
    fc.property(headers, ({ version, source, destination, tlvs, rest }) => {
      const rendered = renderProxyHeader(version as 'v1' | 'v2', { source, destination }, tlvs)
      const whole = Buffer.concat([rendered, rest])
      const expected = {
        kind: 'header',
        header: {
          version: version === 'v1' ? 1 : 2,
          addresses: {
            source: { host: canonical(source.host), port: source.port },
            destination: { host: canonical(destination.host), port: destination.port },
          },
          tlvs: version === 'v1' ? [] : tlvs,
        },
        length: rendered.length,
      }
      assert.deepEqual(parseProxyHeader(whole, whole.length), expected)
      assert.deepEqual(byteByByte(whole), expected)
    }),
  )
})

test('noise never throws, and is judged the same however it is cut', () => {
  const line = fc
    .string({
      unit: fc.constantFrom('1', '.', ' ', ':', '\r', '\n', 'TCP4', 'UNKNOWN', 'a'),
      maxLength: 60,
    })
    .map((text) => Buffer.from(`PROXY ${text}`))
  const binary = fc.uint8Array({ maxLength: 300 }).map((body) => Buffer.concat([SIGNATURE, body]))
  const likely = fc
    .tuple(
      fc.constantFrom(0x20, 0x21),
      fc.constantFrom(0, 0x11, 0x12, 0x21, 0x31),
      fc.uint8Array({ maxLength: 250 }),
    )
    .map(([command, family, body]) => v2(command, family, body))
  fc.assert(
    fc.property(fc.oneof(line, binary, likely, fc.uint8Array({ maxLength: 200 })), (bytes) => {
      const whole = parseProxyHeader(bytes, bytes.length)
      assert.deepEqual(byteByByte(bytes), whole)
      if (whole.kind === 'header') assert.ok(whole.length <= bytes.length)
    }),
    { numRuns: 1_000 },
  )
})

test('a header of the greatest length is read; nothing longer exists', () => {
  const filler = Buffer.alloc(65_535 - FOUR.length)
  filler[0] = 0xee
  filler.writeUInt16BE(filler.length - 3, 1)
  const bytes = v2(0x21, 0x11, Buffer.concat([FOUR, filler]))
  assert.equal(bytes.length, MAX_PROXY_HEADER_BYTES)
  assert.equal(read(bytes).kind, 'header')
})

test('who speaks for itself says so', () => {
  assert.equal(Buffer.from(renderProxyHeader('v1', undefined)).toString(), 'PROXY UNKNOWN\r\n')
  const local = Buffer.concat([SIGNATURE, Buffer.from([0x20, 0, 0, 0])])
  assert.deepEqual(Buffer.from(renderProxyHeader('v2', undefined)), local)
  const nowhere = { host: '', port: 0 }
  const unknown = renderProxyHeader('v2', { source: nowhere, destination: nowhere })
  assert.deepEqual(Buffer.from(unknown), local)
})

test('an IPv4 client of an IPv6 address is shown to the next hop as IPv6', () => {
  const mixed = {
    source: { host: '192.0.2.1', port: 1 },
    destination: { host: '2001:db8::1', port: 2 },
  }
  const line = Buffer.from(renderProxyHeader('v1', mixed)).toString()
  assert.equal(line, 'PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 1 2\r\n')
})

test('what is an address to Node is one here, and nothing else', () => {
  const likely = fc.string({ unit: fc.constantFrom('0', '1', '25', '255', 'f', ':', '.', '::') })
  fc.assert(
    fc.property(fc.oneof(ip, likely), (text) => {
      const length = ipToBytes(text)?.length
      assert.equal(length, isIPv4(text) ? 4 : isIPv6(text) ? 16 : undefined)
    }),
    { numRuns: 2_000 },
  )
})

test('addresses keep their value through bytes and text', () => {
  fc.assert(
    fc.property(ip, (text) => {
      const bytes = ipToBytes(text) as Uint8Array
      const again = ipToBytes(ipFromBytes(bytes)) as Uint8Array
      const same = isIPv4(ipFromBytes(bytes)) ? bytes.subarray(-4) : bytes
      assert.deepEqual(again, Uint8Array.from(same))
    }),
  )
  assert.equal(ipFromBytes(ipToBytes('0:0:1:0:0:0:0:0') as Uint8Array), '0:0:1::')
  assert.equal(ipFromBytes(ipToBytes('::') as Uint8Array), '::')
  assert.equal(ipFromBytes(ipToBytes('1:0:2:3:4:5:6:7') as Uint8Array), '1:0:2:3:4:5:6:7')
  assert.equal(ipToBytes('fe80::1%eth0'), undefined)
})

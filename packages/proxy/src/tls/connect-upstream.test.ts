import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket as NetSocket } from 'node:net'
import { after, test } from 'node:test'
import type { Cluster } from '@weft/model'
import type { PeerCertificate, Socket, SocketHandler } from '@weft/net'
import { parseClientHello, parseProxyHeader } from '@weft/wire'
import { clusterOf, engineDeps } from '../exchange/engine-fixture.ts'
import { type ConnectionPurpose, connectUpstream, purposeKey } from './connect-upstream.ts'
import { coversHost } from './names-rule.ts'
import { TlsContexts } from './tls-contexts.ts'

const NOTHING: SocketHandler = { onOpen() {}, onData() {}, onEnd() {}, onDrain() {}, onClose() {} }
const CLIENT = {
  remoteAddress: { host: '192.0.2.1', port: 4_711 },
  localAddress: { host: '198.51.100.1', port: 443 },
}
const deps = { ...engineDeps(), tls: new TlsContexts() }

const taken: NetSocket[] = []
const server = createServer((socket) => void taken.push(socket.on('error', () => undefined)))
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const address = { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
after(() => {
  for (const socket of taken) socket.destroy()
  server.close()
})

/** What the upstream gets first, `enough` of it. */
async function firstBytes(
  changes: Partial<Cluster>,
  purpose: ConnectionPurpose,
  enough: (bytes: Buffer) => boolean,
): Promise<Buffer> {
  const accepted = once(server, 'connection') as Promise<[NetSocket]>
  const socket: Socket = connectUpstream(
    clusterOf('c', [], changes),
    address,
    NOTHING,
    deps,
    purpose,
  )
  const [peer] = await accepted
  let bytes = Buffer.alloc(0)
  while (!enough(bytes)) bytes = Buffer.concat([bytes, (await once(peer, 'data'))[0] as Buffer])
  socket.close()
  return bytes
}

const tls = { subjectAltNames: [], alpn: [] }

test('the PROXY header goes before the TLS handshake', async () => {
  const bytes = await firstBytes({ tls, proxyProtocol: 'v2' }, { client: CLIENT }, (read) => {
    const header = parseProxyHeader(read, read.length)
    return header.kind === 'header' && read.length > header.length
  })
  const result = parseProxyHeader(bytes, bytes.length)
  assert.equal(result.kind, 'header')
  if (result.kind !== 'header') return
  assert.deepEqual(result.header.addresses, {
    source: CLIENT.remoteAddress,
    destination: CLIENT.localAddress,
  })
  assert.deepEqual([...bytes.subarray(result.length, result.length + 2)], [0x16, 3])
})

test('TLVs that do not fit are not told, and a health check tells none', async () => {
  const adds = [
    { type: 0xe0, value: Buffer.alloc(60_000, 1) },
    { type: 0xe1, value: Buffer.alloc(10_000, 2) },
  ]
  const whole = (read: Buffer) => parseProxyHeader(read, read.length).kind === 'header'
  const settings = { proxyProtocol: 'v2', proxyTlvs: { adds } } as const
  const typesOf = (bytes: Buffer) => {
    const result = parseProxyHeader(bytes, bytes.length)
    return result.kind === 'header' && result.header.tlvs.map(({ type }) => type)
  }
  assert.deepEqual(typesOf(await firstBytes(settings, { client: CLIENT }, whole)), [0xe0])
  assert.deepEqual(typesOf(await firstBytes(settings, {}, whole)), [])
})

test('the server name is the request’s host where the cluster says so', async () => {
  const cases = [
    [{ ...tls, autoSni: true, sni: 'fixed.test' }, 'Shop.Example.com:8443', 'shop.example.com'],
    [{ ...tls, autoSni: true, sni: 'fixed.test' }, undefined, 'fixed.test'],
    [{ ...tls, autoSni: true }, '10.0.0.1:443', undefined],
    [{ ...tls, autoSni: true }, '[::1]:443', undefined],
    [{ ...tls, sni: 'fixed.test' }, 'shop.example.com', 'fixed.test'],
  ] as const
  for (const [settings, authority, expected] of cases) {
    const purpose = authority === undefined ? {} : { authority }
    const bytes = await firstBytes(
      { tls: settings },
      purpose,
      (read) => parseClientHello(read, read.length).kind === 'hello',
    )
    const result = parseClientHello(bytes, bytes.length)
    assert.equal(result.kind === 'hello' && result.hello.serverName, expected)
  }
})

test('connections are shared only by requests that they are alike for', () => {
  const request = (client: ConnectionPurpose['client'], authority: string) =>
    ({ client, authority }) as ConnectionPurpose
  const other = { ...CLIENT, remoteAddress: { host: '192.0.2.2', port: 4_711 } }
  const keyOf = (changes: Partial<Cluster>, purpose: ConnectionPurpose) =>
    purposeKey(clusterOf('c', [], changes), purpose)
  assert.equal(keyOf({}, request(CLIENT, 'a')), '')
  assert.equal(keyOf({ tls }, request(CLIENT, 'a')), '')
  const autoSni = { tls: { ...tls, autoSni: true } }
  assert.equal(keyOf(autoSni, request(CLIENT, 'a:1')), keyOf(autoSni, request(other, 'a:2')))
  assert.notEqual(keyOf(autoSni, request(CLIENT, 'a')), keyOf(autoSni, request(CLIENT, 'b')))
  const announced = { proxyProtocol: 'v1' } as const
  assert.equal(keyOf(announced, request(CLIENT, 'a')), keyOf(announced, request(CLIENT, 'b')))
  assert.notEqual(keyOf(announced, request(CLIENT, 'a')), keyOf(announced, request(other, 'a')))
})

test('a certificate covers a host by DNS name, wildcard or address', () => {
  const peer = {
    dnsSans: ['shop.example.com', '*.cdn.example.com'],
    ipSans: ['10.0.0.1'],
  } as unknown as PeerCertificate
  const covered = (host: string) => coversHost(host)(peer)
  for (const host of ['shop.example.com', 'SHOP.example.com', 'a.cdn.example.com', '10.0.0.1']) {
    assert.equal(covered(host), true, host)
  }
  for (const host of ['example.com', 'a.b.cdn.example.com', 'cdn.example.com', '10.0.0.2']) {
    assert.equal(covered(host), false, host)
  }
})

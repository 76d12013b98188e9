/** TLS over every transport, against Node's own peers. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import {
  type ConnectionOptions,
  createServer,
  connect as nodeConnect,
  type TLSSocket,
} from 'node:tls'
import { realClock } from '@weft/base'
import { createTestCa, der, type TestCertificate } from '@weft/testkit'
import { createHandleTransport } from '../handle-transport.ts'
import { createMemoryTransport } from '../memory-transport.ts'
import { createNodeTransport } from '../node-transport.ts'
import type { Socket, SocketHandler, Transport } from '../transport.ts'
import { clientTlsContext, serverTlsContext, type TlsContextParts } from './tls-context.ts'
import { connectTls, upgradeToTls } from './upgrade.ts'

const ca = createTestCa()
const other = createTestCa('Other CA')
const serverCert = ca.issue({ dns: ['web.test'], uri: ['spiffe://mesh/ns/a/sa/web'] })
const clientCert = ca.issue({ uri: ['spiffe://mesh/ns/a/sa/client'] })
const loopback = { host: '127.0.0.1', port: 0 }

function parts(cert: TestCertificate | undefined, more: Partial<TlsContextParts> = {}) {
  return {
    parameters: {},
    certificates: cert === undefined ? [] : [{ chainPem: cert.certPem, keyPem: cert.keyPem }],
    alpn: [],
    ...more,
  }
}

class Recorder implements SocketHandler {
  data = Buffer.alloc(0)
  error: Error | undefined
  readonly events: string[] = []
  #waiting: (() => void)[] = []
  onOpen() {
    this.#note('open')
  }
  onData(bytes: Uint8Array, length: number) {
    this.data = Buffer.concat([this.data, bytes.subarray(0, length)])
    this.#note('data')
  }
  onEnd() {
    this.#note('end')
  }
  onDrain() {
    this.#note('drain')
  }
  onClose(error: Error | undefined) {
    this.error = error
    this.#note('close')
  }
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      if (this.events.includes('close')) assert.fail(`closed early: ${this.error?.message}`)
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }
  seen(event: string): Promise<void> {
    return this.until(() => this.events.includes(event))
  }
  #note(event: string) {
    this.events.push(event)
    for (const wake of this.#waiting.splice(0)) wake()
  }
}

interface ServeOptions {
  readonly context?: ReturnType<typeof serverTlsContext>
  readonly offeredAlpn?: readonly string[]
}

/** A server of ours; `accepted` gives each connection as it comes. */
async function serve(transport: Transport, options: () => ServeOptions = () => ({})) {
  const fallback = serverTlsContext(parts(serverCert), 'none')
  const accepted: { socket: Socket; handler: Recorder }[] = []
  const listening = await transport.listen({ address: loopback }, (raw) => {
    const { context = fallback, offeredAlpn = [] } = options()
    const handler = new Recorder()
    const side = { kind: 'server', context, offeredAlpn, serverName: undefined } as const
    const socket = upgradeToTls(raw, undefined, side, handler, { clock: realClock })
    accepted.push({ socket, handler })
    return raw.handler
  })
  return { listening, accepted }
}

const transports: Record<string, () => Transport> = {
  handle: createHandleTransport,
  'handle without takeover': () => createHandleTransport({ tlsTakeover: false }),
  node: createNodeTransport,
  memory: createMemoryTransport,
}

for (const [name, create] of Object.entries(transports)) {
  test(`${name}: both our sides shake hands, say who they are and carry megabytes both ways`, async () => {
    const transport = create()
    const context = serverTlsContext(
      parts(serverCert, { trust: { caPem: ca.caPem }, alpn: ['h2', 'http/1.1'] }),
      'required',
    )
    const { listening, accepted } = await serve(transport, () => ({
      context,
      offeredAlpn: ['http/1.1'],
    }))
    const here = new Recorder()
    const client = connectTls(transport, listening.address, here, {
      serverName: 'web.test',
      context: clientTlsContext(
        parts(clientCert, { trust: { caPem: ca.caPem }, alpn: ['http/1.1'] }),
      ),
    })
    await here.seen('open')
    assert.equal(client.tls?.alpn, 'http/1.1')
    assert.equal(client.tls?.version, 'TLSv1.3')
    assert.deepEqual(client.tls?.peer?.dnsSans, ['web.test'])
    assert.deepEqual(client.tls?.peer?.uriSans, ['spiffe://mesh/ns/a/sa/web'])
    const big = Buffer.alloc(3_000_000, 'abcdefg')
    if (!client.write(big)) await here.seen('drain')
    client.end()
    const there = accepted[0]
    assert.ok(there)
    await there.handler.seen('end')
    assert.deepEqual(there.socket.tls?.peer?.uriSans, ['spiffe://mesh/ns/a/sa/client'])
    assert.ok(there.handler.data.equals(big))
    // The other half goes on.
    there.socket.write(Buffer.from('still '))
    there.socket.write(Buffer.from('here'))
    there.socket.write(big)
    there.socket.end()
    await here.seen('end')
    assert.equal(here.data.length, 10 + big.length)
    assert.equal(here.data.subarray(0, 10).toString(), 'still here')
    client.close()
    there.socket.close()
    await Promise.all([here.seen('close'), there.handler.seen('close')])
    assert.equal(here.error, undefined)
    await listening.close()
  })

  test(`${name}: a client of another CA is refused, and hears nothing`, async () => {
    const transport = create()
    const context = serverTlsContext(parts(serverCert, { trust: { caPem: ca.caPem } }), 'required')
    const { listening, accepted } = await serve(transport, () => ({ context }))
    const here = new Recorder()
    const client = connectTls(transport, listening.address, here, {
      serverName: undefined,
      context: clientTlsContext(parts(other.issue({ uri: ['spiffe://mesh/ns/a/sa/client'] }))),
    })
    await here.until(() => here.events.includes('end') || here.events.includes('close'))
    client.close()
    await accepted[0]?.handler.seen('close')
    assert.deepEqual(accepted[0]?.handler.events, ['close'])
    assert.match(String(accepted[0]?.handler.error), /not to be trusted/)
    assert.ok(!here.events.includes('data'))
    await listening.close()
  })

  test(`${name}: what comes with the handshake waits while reading is paused`, async () => {
    const transport = create()
    const { listening, accepted } = await serve(transport)
    const context = clientTlsContext(parts(undefined, { trust: { caPem: ca.caPem } }))
    const client = new Recorder()
    const options = { context, serverName: 'web.test' }
    const socket = connectTls(transport, listening.address, client, options)
    // In flight before the handshake is over: it arrives behind its last message.
    socket.write(Buffer.from('ping'))
    socket.end()
    while (accepted.length === 0) await new Promise(setImmediate)
    const [server] = accepted
    assert.ok(server)
    server.socket.pause()
    await server.handler.seen('open')
    for (let i = 0; i < 20; i++) await new Promise(setImmediate)
    assert.deepEqual(server.handler.events, ['open'])
    server.socket.resume()
    await server.handler.seen('end')
    assert.equal(server.handler.data.toString(), 'ping')
    socket.close()
    server.socket.close()
    listening.close()
  })

  test(`${name}: a slow reader makes writes wait, and nothing is lost at the end`, async () => {
    const transport = create()
    const { listening, accepted } = await serve(transport)
    const here = new Recorder()
    const client = connectTls(transport, listening.address, here, {
      serverName: undefined,
      context: clientTlsContext(parts(undefined)),
    })
    await here.seen('open')
    client.pause()
    const there = accepted[0]
    assert.ok(there)
    await there.handler.seen('open')
    assert.equal(there.socket.write(Buffer.alloc(12_000_000, 1)), false)
    assert.ok(there.socket.pendingBytes > 0)
    client.resume()
    await there.handler.seen('drain')
    assert.equal(there.socket.pendingBytes, 0)
    there.socket.close()
    await here.seen('end')
    assert.equal(here.data.length, 12_000_000)
    client.close()
    await listening.close()
  })
}

async function nodeClient(
  port: number,
  options: ConnectionOptions = {},
): Promise<TLSSocket | Error> {
  const socket = nodeConnect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options })
  return new Promise((resolve) => {
    socket.on('secureConnect', () => resolve(socket))
    socket.on('error', resolve)
  })
}

test('who comes under each setting of client certificates', async () => {
  const transport = createHandleTransport()
  const trust = { caPem: ca.caPem }
  const own = { cert: clientCert.certPem, key: clientCert.keyPem }
  const foreign = other.issue({ uri: ['spiffe://mesh/ns/a/sa/client'] })
  const certs = {
    own,
    foreign: { cert: foreign.certPem, key: foreign.keyPem },
    none: {},
  }
  const expected = {
    required: { own: true, foreign: false, none: false },
    optional: { own: true, foreign: false, none: true },
    none: { own: true, foreign: true, none: true },
  } as const
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    for (const mode of ['required', 'optional', 'none'] as const) {
      const context = serverTlsContext(parts(serverCert, mode === 'none' ? {} : { trust }), mode)
      const { listening, accepted } = await serve(transport, () => ({ context }))
      for (const who of ['own', 'foreign', 'none'] as const) {
        const socket = await nodeClient(listening.address.port, { ...certs[who], maxVersion })
        const last = accepted.at(-1)
        assert.ok(last)
        await last.handler.until(() => last.handler.events.length > 0)
        const isIn = last.handler.events[0] === 'open'
        assert.equal(isIn, expected[mode][who], `${maxVersion} ${mode} ${who}`)
        if (!(socket instanceof Error)) socket.destroy()
      }
      await listening.close()
    }
  }
})

test('who is let in without trust is nobody', async () => {
  const transport = createHandleTransport()
  const foreign = other.issue({ uri: ['spiffe://mesh/ns/a/sa/client'] })
  const lax = { trust: { caPem: ca.caPem }, parameters: { acceptUntrusted: true } }
  const context = serverTlsContext(parts(serverCert, lax), 'optional')
  const { listening, accepted } = await serve(transport, () => ({ context }))
  const namesOf = async (certificate: ConnectionOptions) => {
    const socket = await nodeClient(listening.address.port, certificate)
    assert.ok(!(socket instanceof Error))
    const last = accepted.at(-1)
    await last?.handler.seen('open')
    socket.destroy()
    return last?.socket.tls?.peer?.uriSans
  }
  const own = { cert: clientCert.certPem, key: clientCert.keyPem }
  assert.deepEqual(await namesOf(own), ['spiffe://mesh/ns/a/sa/client'])
  assert.equal(await namesOf({ cert: foreign.certPem, key: foreign.keyPem }), undefined)
  assert.equal(await namesOf({}), undefined)
  await listening.close()
})

test('sessions go on, also for who showed a certificate, but not past a change of context', async () => {
  const transport = createHandleTransport()
  let context = serverTlsContext(parts(serverCert), 'none')
  const { listening, accepted } = await serve(transport, () => ({ context }))
  const client = clientTlsContext(parts(clientCert, { trust: { caPem: ca.caPem } }))
  let isMutual = false
  const visit = async () => {
    const here = new Recorder()
    const socket = connectTls(transport, listening.address, here, {
      serverName: 'web.test',
      context: client,
    })
    await here.seen('open')
    const last = accepted.at(-1)
    await last?.handler.seen('open')
    // Tickets come behind the handshake.
    last?.socket.write(Buffer.from('x'))
    await here.seen('data')
    const resumed = socket.tls?.resumed
    const shown = last?.socket.tls?.peer?.uriSans
    assert.deepEqual(shown, isMutual ? ['spiffe://mesh/ns/a/sa/client'] : undefined)
    socket.close()
    return resumed
  }
  assert.equal(await visit(), false)
  assert.equal(await visit(), true)
  context = serverTlsContext(parts(serverCert), 'none')
  assert.equal(await visit(), false)
  isMutual = true
  context = serverTlsContext(parts(serverCert, { trust: { caPem: ca.caPem } }), 'required')
  assert.equal(await visit(), false)
  assert.equal(await visit(), true)
  await listening.close()
})

test('revoked, expired, unpinned and misnamed servers are refused', async () => {
  const transport = createHandleTransport()
  const expired = ca.issue({ dns: ['web.test'], notAfterMs: Date.UTC(2025, 1, 1) })
  let cert = serverCert
  const { listening } = await serve(transport, () => ({
    context: serverTlsContext(parts(cert), 'none'),
  }))
  const tryOut = async (more: Partial<TlsContextParts>) => {
    const here = new Recorder()
    const socket = connectTls(transport, listening.address, here, {
      serverName: 'web.test',
      context: clientTlsContext(parts(undefined, { trust: { caPem: ca.caPem }, ...more })),
    })
    await here.until(() => here.events.length > 0)
    socket.close()
    return here.events[0] === 'open' ? 'open' : (here.error?.message ?? '')
  }
  assert.equal(await tryOut({}), 'open')
  assert.match(
    await tryOut({ trust: { caPem: ca.caPem, crlPem: ca.revoke(serverCert) } }),
    /revoked/,
  )
  assert.equal(await tryOut({ trust: { caPem: ca.caPem, crlPem: ca.revoke() } }), 'open')
  assert.match(await tryOut({ hashes: ['00'.repeat(32)] }), /pinned/)
  assert.match(await tryOut({ spki: ['AAAA'] }), /pinned/)
  assert.match(
    await tryOut({ names: ({ dnsSans }) => dnsSans.includes('x') }),
    /wanted: spiffe.*web.test/,
  )
  cert = expired
  assert.match(await tryOut({}), /expired/)
  await listening.close()
})

test('what Node tells a server of its own is what the client of ours asked for', async () => {
  const server = createServer({
    cert: serverCert.certPem,
    key: serverCert.keyPem,
    ALPNProtocols: ['h2', 'http/1.1'],
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const here = new Recorder()
  const socket = connectTls(createHandleTransport(), { host: '127.0.0.1', port }, here, {
    serverName: 'web.test',
    context: clientTlsContext(parts(undefined)),
    alpn: ['h2'],
  })
  socket.write(Buffer.from('early'))
  const [peer] = (await once(server, 'secureConnection')) as [TLSSocket]
  assert.equal(peer.servername, 'web.test')
  assert.equal(peer.alpnProtocol, 'h2')
  const [bytes] = await once(peer, 'data')
  assert.equal(String(bytes), 'early')
  peer.on('error', () => undefined)
  socket.reset()
  await once(peer, 'close')
  await here.seen('close')
  server.close()
})

test('a peer that stays silent is given up after the handshake timeout', async () => {
  const transport = createHandleTransport()
  const context = serverTlsContext(parts(serverCert), 'none')
  const handler = new Recorder()
  const listening = await transport.listen({ address: loopback }, (raw) => {
    const side = { kind: 'server', context, offeredAlpn: [], serverName: undefined } as const
    upgradeToTls(raw, undefined, side, handler, { clock: realClock, handshakeTimeoutMs: 20 })
    return raw.handler
  })
  const client = new Recorder()
  transport.connect(listening.address, client)
  await handler.seen('close')
  assert.match(String(handler.error), /no TLS handshake within 20 ms/)
  await client.until(() => client.events.includes('end') || client.events.includes('close'))
  await listening.close()
})

test('R40: names with bytes that no name has are no names, and other types are none at all', async () => {
  const { subjectAltNames } = await import('./subject-alt-names.ts')
  const { X509Certificate } = await import('node:crypto')
  const namesOf = (cert: TestCertificate) => subjectAltNames(new X509Certificate(cert.certPem).raw)
  assert.deepEqual(namesOf(ca.issue({ dns: ['a.test', 'good.test\0.evil.test'] })).dns, [])
  assert.deepEqual(namesOf(ca.issue({ dns: ['a.test, DNS:b.test'] })).dns, [])
  const otherName = der(
    0xa0,
    der(0x06, Buffer.from([0x2a, 3])),
    der(0xa0, der(0x0c, Buffer.from('good.test'))),
  )
  const names = namesOf(
    ca.issue({ dns: ['a.test'], raw: [otherName, der(0x87, Buffer.from([10, 0, 0, 1]))] }),
  )
  assert.deepEqual(names, { uri: [], dns: ['a.test'], email: [], ip: ['10.0.0.1'] })
  const { raw } = new X509Certificate(ca.issue({ dns: ['a.test'] }).certPem)
  for (let cut = 0; cut < raw.length; cut++) subjectAltNames(raw.subarray(0, cut))
  for (let i = 0; i < raw.length; i++) {
    const changed = Buffer.from(raw)
    changed[i] = (changed[i] as number) ^ 0x80
    subjectAltNames(changed)
  }
})

/** Sessions of clients with certificates that go on: who the peer is must stay as sure as before (R39). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect as nodeConnect, type SecureVersion } from 'node:tls'
import { realClock } from '@weft/base'
import { createTestCa, type TestCertificate } from '@weft/testkit'
import { createHandleTransport } from '../handle-transport.ts'
import type { SocketHandler } from '../transport.ts'
import { type ServerTlsContext, serverTlsContext, type TlsContextParts } from './tls-context.ts'
import type { TlsFacts } from './tls-facts.ts'
import { upgradeToTls } from './upgrade.ts'

const HOUR_MS = 3_600_000
const ca = createTestCa()
const other = createTestCa('Other CA')
const serverCert = ca.issue({ dns: ['web.test'] })
const client = ca.issue({ uri: ['spiffe://mesh/ns/a/sa/client'] })
const VERSIONS: readonly SecureVersion[] = ['TLSv1.2', 'TLSv1.3']

function contextOf(mode: 'optional' | 'required', more: Partial<TlsContextParts> = {}) {
  const certificates = [{ chainPem: serverCert.certPem, keyPem: serverCert.keyPem }]
  const trust = { caPem: ca.caPem }
  return serverTlsContext({ parameters: {}, certificates, trust, alpn: [], ...more }, mode)
}

/** What the server found out, or why it refused. */
type Met = TlsFacts | string

async function openServer(context: () => ServerTlsContext) {
  const met: ((met: Met) => void)[] = []
  const listening = await createHandleTransport().listen(
    { address: { host: '127.0.0.1', port: 0 } },
    (raw) => {
      const tell = met.shift()
      const handler: SocketHandler = {
        onOpen() {
          if (secure.tls !== undefined) tell?.(secure.tls)
          // Tickets of TLS 1.3 come behind the handshake, before this.
          secure.write(Buffer.from('x'))
        },
        onData() {},
        onEnd: () => secure.close(),
        onDrain() {},
        onClose: (error) => tell?.(error?.message ?? 'closed'),
      }
      const side = {
        kind: 'server',
        context: context(),
        offeredAlpn: [],
        serverName: undefined,
      } as const
      const secure = upgradeToTls(raw, undefined, side, handler, { clock: realClock })
      return handler
    },
  )
  /** One connection; a session that the server offers is kept for the next one. */
  async function visit(own: TestCertificate | undefined, version: SecureVersion, kept: Sessions) {
    const known = new Promise<Met>((resolve) => met.push(resolve))
    const socket = nodeConnect({
      port: listening.address.port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      minVersion: version,
      maxVersion: version,
      ...(own === undefined ? {} : { cert: own.certPem, key: own.keyPem }),
      ...(kept.session === undefined ? {} : { session: kept.session }),
    })
    const over = new Promise<void>((resolve) => {
      socket.on('close', () => resolve())
      socket.on('data', () => resolve())
    })
    socket.on('session', (session) => {
      kept.session = session
    })
    socket.on('error', () => undefined)
    const found = await known
    await over
    socket.destroy()
    return found
  }
  return { visit, close: () => listening.close() }
}

interface Sessions {
  session?: Buffer
}

function namesOf(met: Met): readonly string[] | undefined {
  assert.ok(typeof met !== 'string', `refused: ${String(met)}`)
  return met.peer?.uriSans
}

for (const version of VERSIONS) {
  test(`${version}: a session that goes on has the verified identity of its beginning (R39)`, async () => {
    const context = contextOf('required')
    const server = await openServer(() => context)
    const kept: Sessions = {}
    for (const resumed of [false, true, true]) {
      const met = await server.visit(client, version, kept)
      assert.deepEqual(namesOf(met), ['spiffe://mesh/ns/a/sa/client'])
      assert.equal(typeof met !== 'string' && met.resumed, resumed)
    }
    await server.close()
  })

  test(`${version}: a session without a certificate stays without identity`, async () => {
    const context = contextOf('optional')
    const server = await openServer(() => context)
    const kept: Sessions = {}
    for (let i = 0; i < 2; i++)
      assert.equal(namesOf(await server.visit(undefined, version, kept)), undefined)
    // Who has one now does not get it into the session that began without.
    const met = await server.visit(client, version, kept)
    assert.ok(typeof met !== 'string')
    if (met.resumed) assert.equal(met.peer, undefined)
    await server.close()
  })

  test(`${version}: who was let in without trust is nobody in a session, too`, async () => {
    const foreign = other.issue({ uri: ['spiffe://mesh/ns/a/sa/client'] })
    const context = contextOf('optional', { parameters: { acceptUntrusted: true } })
    const server = await openServer(() => context)
    const kept: Sessions = {}
    for (let i = 0; i < 3; i++)
      assert.equal(namesOf(await server.visit(foreign, version, kept)), undefined)
    await server.close()
  })

  test(`${version}: who was refused is refused with a session, and trust is not older than the context`, async () => {
    let wanted = true
    let context = contextOf('required', { names: () => wanted })
    const server = await openServer(() => context)
    const kept: Sessions = {}
    namesOf(await server.visit(client, version, kept))
    assert.ok(kept.session)
    wanted = false
    assert.match(String(await server.visit(client, version, kept)), /none of its names is wanted/)
    // The client's CA is not trusted any more: nothing that was before it counts.
    context = contextOf('required', { trust: { caPem: other.caPem } })
    assert.equal(typeof (await server.visit(client, version, kept)), 'string')
    await server.close()
  })

  test(`${version}: a session does not outlive the client's certificate`, async (t) => {
    const nowMs = realClock.nowMs()
    const brief = ca.issue({ uri: ['spiffe://mesh/ns/a/sa/brief'], notAfterMs: nowMs + HOUR_MS })
    const context = contextOf('required')
    const server = await openServer(() => context)
    const kept: Sessions = {}
    namesOf(await server.visit(brief, version, kept))
    // OpenSSL has a clock of its own, which goes on with the session.
    t.mock.timers.enable({ apis: ['Date'], now: nowMs + 2 * HOUR_MS })
    assert.match(String(await server.visit(brief, version, kept)), /certificate has expired/)
    await server.close()
  })
}

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectPlain } from 'node:net'
import { test } from 'node:test'
import { connect as connectNodeTls } from 'node:tls'
import { realClock } from '@weft/base'
import { createTestCa, FakeClock } from '@weft/testkit'
import { createHandleTransport } from '../handle-transport.ts'
import { createNodeTransport } from '../node-transport.ts'
import type { SocketHandler, Transport } from '../transport.ts'
import { acceptTls } from './accept.ts'
import { serverTlsContext } from './tls-context.ts'
import type { TlsDeps } from './upgrade.ts'

const ca = createTestCa()
const { certPem, keyPem } = ca.issue({ dns: ['web.test'] })
const context = serverTlsContext(
  { parameters: {}, certificates: [{ chainPem: certPem, keyPem }], alpn: [] },
  'none',
)
const side = { kind: 'server', context, offeredAlpn: [], serverName: undefined } as const

/** Sends back what comes; `closed` has why each connection ended that was never open. */
async function echo(transport: Transport, deps: TlsDeps) {
  const closed: (string | undefined)[] = []
  let wake: () => void = () => undefined
  const ended = new Promise<void>((resolve) => {
    wake = resolve
  })
  const listening = await transport.listen({ address: { host: '127.0.0.1', port: 0 } }, (raw) =>
    acceptTls(
      raw,
      side,
      {
        onOpen: (socket): SocketHandler => ({
          onOpen() {},
          onData: (bytes, length) => void socket.write(Buffer.from(bytes.subarray(0, length))),
          onEnd: () => socket.end(),
          onDrain() {},
          onClose() {},
        }),
        onClose(error) {
          closed.push(error?.message)
          wake()
        },
      },
      deps,
    ),
  )
  return { listening, port: listening.address.port, closed, ended }
}

for (const [name, create] of [
  ['handle', createHandleTransport],
  ['handle without takeover', () => createHandleTransport({ tlsTakeover: false })],
  ['node', createNodeTransport],
] as const) {
  test(`${name}: a long first flight shakes hands, and bytes behind it go both ways`, async () => {
    const { listening, port } = await echo(create(), { clock: realClock })
    // Names of protocols make a ClientHello of several pieces.
    const ALPNProtocols = Array.from({ length: 40 }, (_, i) => `${i}`.padEnd(100, 'x'))
    const client = connectNodeTls({ port, ca: ca.caPem, servername: 'web.test', ALPNProtocols })
    const big = Buffer.alloc(300_000, 'abcdefg')
    client.end(big)
    const parts: Buffer[] = []
    for await (const part of client) parts.push(part)
    assert.ok(Buffer.concat(parts).equals(big))
    await listening.close()
  })

  test(`${name}: what is not TLS ends with an error`, async () => {
    const { listening, port, closed, ended } = await echo(create(), { clock: realClock })
    const client = connectPlain({ port })
    client.on('error', () => undefined)
    client.write('GET / HTTP/1.1\r\n\r\n')
    await ended
    assert.equal(closed.length, 1)
    assert.match(closed[0] ?? '', /SSL|TLS|http request/i)
    client.destroy()
    await listening.close()
  })
}

test('who connects and says nothing, or too little, is given up after the handshake timeout', async () => {
  const clock = new FakeClock()
  const deps = { clock, handshakeTimeoutMs: 5_000 }
  for (const first of [Buffer.alloc(0), Buffer.from([0x16, 3, 1, 2, 0])]) {
    const { listening, port, closed, ended } = await echo(createHandleTransport(), deps)
    const client = connectPlain({ port })
    await once(client, 'connect')
    client.write(first)
    client.resume()
    // The server has heard it when another connection, begun later, is answered.
    const later = connectNodeTls({ port, ca: ca.caPem, servername: 'web.test' })
    await once(later, 'secureConnect')
    assert.deepEqual(closed, [])
    clock.advance(5_000)
    await ended
    assert.equal(closed.length, 1)
    assert.match(closed[0] ?? '', /no TLS handshake within/)
    client.destroy()
    later.destroy()
    await listening.close()
  }
})

test('who goes before a word leaves without an error', async () => {
  const { listening, port, closed, ended } = await echo(createHandleTransport(), {
    clock: realClock,
  })
  connectPlain({ port }).end()
  await ended
  assert.deepEqual(closed, [undefined])
  await listening.close()
})

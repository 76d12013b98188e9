/**
 * The interop matrix: every client asks every client through the broker, over TCP, WebSocket and
 * TLS, in the four interactions; and leases, as each of them gives and takes them.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import { Broker } from '@weft/broker'
import { createHandleTransport, serverTlsContext } from '@weft/net'
import { createTestCa, eventually } from '@weft/testkit'
import type { Carrier, DialOptions, Program, ProgramKind } from './rsocket-program.ts'
import { programs } from './rsocket-programs.ts'

const CARRIERS: readonly Carrier[] = ['tcp', 'ws', 'tls']

describe('RSocket clients through a broker', () => {
  const ports = { tcp: 0, ws: 0, tls: 0 }
  let caPem = ''
  let broker: Broker

  before(async () => {
    const ca = createTestCa()
    caPem = ca.caPem
    const server = ca.issue({ dns: ['localhost'] })
    const context = serverTlsContext(
      {
        parameters: {},
        certificates: [{ chainPem: server.certPem, keyPem: server.keyPem }],
        alpn: [],
      },
      'none',
    )
    broker = new Broker(
      { id: 'interop' },
      {
        transport: createHandleTransport(),
        clock: realClock,
        log: silentLogger,
        random: Math.random,
      },
    )
    const address = { host: '127.0.0.1', port: 0 }
    ports.tcp = (await broker.listen({ kind: 'tcp', address })).port
    ports.ws = (await broker.listen({ kind: 'websocket', address })).port
    ports.tls = (await broker.listen({ kind: 'tcp', address, tls: () => context })).port
  })

  after(() => broker.close())

  const dial = (
    kind: ProgramKind,
    carrier: Carrier,
    more: Partial<DialOptions> = {},
  ): Promise<Program> => kind.dial({ carrier, port: ports[carrier], caPem, services: [], ...more })

  async function dialResponder(
    kind: ProgramKind,
    carrier: Carrier,
    service: string,
    more: Partial<DialOptions> = {},
  ) {
    const told: string[] = []
    const onFireAndForget = (data: string) => void told.push(data)
    const program = await dial(kind, carrier, { services: [service], onFireAndForget, ...more })
    await eventually(() => assert.equal(broker.registry.find(service).length, 1))
    return { program, told }
  }

  async function allGone(...open: readonly Program[]) {
    for (const program of open) program.close()
    await eventually(() => assert.equal(broker.connections, 0))
  }

  for (const requesterKind of programs) {
    for (const responderKind of programs) {
      const skip = requesterKind.skip || responderKind.skip
      for (const carrier of CARRIERS) {
        const name = `${requesterKind.name} asks ${responderKind.name} over ${carrier}`
        test(name, { skip }, async () => {
          const service = `s.${requesterKind.name}-${responderKind.name}-${carrier}`
          const { program: responder, told } = await dialResponder(responderKind, carrier, service)
          const requester = await dial(requesterKind, carrier)
          await converse(requester, service, told)
          await allGone(requester, responder)
        })
      }
    }
  }

  for (const kind of programs) {
    const { skip } = kind
    test(`${kind.name} that honours leases waits for the broker's and asks`, { skip }, async () => {
      const service = `s.leased-by-${kind.name}`
      const { program: responder } = await dialResponder(kind, 'tcp', service)
      const requester = await dial(kind, 'tcp', { leaseRequests: 0 })
      await eventually(async () =>
        assert.deepEqual(await requester.response(`${service}.m`, 'x'), ['x']),
      )
      await allGone(requester, responder)
    })

    if (!kind.grantsLeases) continue
    test(`${kind.name} gets no more requests than it leased`, { skip }, async () => {
      const service = `s.lease-of-${kind.name}`
      const { program: responder } = await dialResponder(kind, 'tcp', service, { leaseRequests: 3 })
      const requester = await dial(kind, 'tcp')
      const key = `${service}.m`
      await eventually(() => assert.equal(leaseOf(broker, service), 3))
      const answers: string[] = []
      for (let i = 0; i < 5; i++) answers.push(...(await requester.response(key, String(i))))
      const refused = '#202 WEFT-503 no responder can take the request'
      assert.deepEqual(answers, ['0', '1', '2', refused, refused])
      await allGone(requester, responder)
    })
  }
})

/** What the only responder of `service` still allows. */
function leaseOf(broker: Broker, service: string): number | undefined {
  return broker.registry.find(service)[0]?.lease?.requests
}

async function converse(requester: Program, service: string, told: readonly string[]) {
  const key = `${service}.method`
  assert.deepEqual(await requester.response(key, 'one'), ['one'])
  assert.deepEqual(
    await requester.stream(key, 'item', 2),
    Array.from({ length: 5 }, () => 'item'),
  )
  assert.deepEqual(await requester.channel(key, 'c'), ['c0', 'c1', 'c2'])
  requester.fireAndForget(key, 'told')
  await eventually(() => assert.deepEqual(told, ['told']))
  const large = 'x'.repeat(300_000)
  assert.deepEqual(await requester.response(key, large), [large])
  assert.deepEqual(await requester.response('nobody.there', ''), [
    '#202 WEFT-404 nobody offers nobody',
  ])
}

/**
 * The npm clients through the broker: every requester with every responder, over TCP, WebSocket
 * and TLS, in the four interactions; and rsocket-py with each of them.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import { Broker } from '@weft/broker'
import { createHandleTransport, serverTlsContext } from '@weft/net'
import { createTestCa, eventually } from '@weft/testkit'
import { type Carrier, type Program, type ProgramKind, programs } from './rsocket-programs.ts'
import { noPython, python } from './rsocket-python.ts'

const CARRIERS: readonly Carrier[] = ['tcp', 'ws', 'tls']

describe('RSocket clients of npm', () => {
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

  for (const requesterKind of programs) {
    for (const responderKind of programs) {
      for (const carrier of CARRIERS) pair(requesterKind, responderKind, carrier, false)
    }
    pair(requesterKind, python, 'tcp', noPython)
    pair(python, requesterKind, 'tcp', noPython)
  }
  pair(python, python, 'tcp', noPython)

  function pair(
    requesterKind: ProgramKind,
    responderKind: ProgramKind,
    carrier: Carrier,
    skip: string | false,
  ): void {
    test(`${requesterKind.name} asks ${responderKind.name} over ${carrier}`, { skip }, async () => {
      const told: string[] = []
      const dial = (services: readonly string[]) => ({
        ...{ carrier, port: ports[carrier], caPem, services },
        onFireAndForget: (data: string) => void told.push(data),
      })
      const service = `s.${requesterKind.name}-${responderKind.name}-${carrier}`
      const responder = await responderKind.dial(dial([service]))
      await eventually(() => assert.equal(broker.registry.find(service).length, 1))
      const requester = await requesterKind.dial(dial([]))
      await converse(requester, service, told)
      requester.close()
      responder.close()
      await eventually(() => assert.equal(broker.connections, 0))
    })
  }
})

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

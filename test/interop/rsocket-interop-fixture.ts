/** A broker that programs dial: over TCP, WebSocket and TLS. */
import assert from 'node:assert/strict'
import { realClock, silentLogger } from '@weft/base'
import { Broker } from '@weft/broker'
import { createHandleTransport, serverTlsContext } from '@weft/net'
import { createTestCa, eventually } from '@weft/testkit'
import type { Carrier, DialOptions, Program, ProgramKind } from './rsocket-program.ts'

export interface InteropBroker {
  readonly broker: Broker
  dial(kind: ProgramKind, carrier: Carrier, more?: Partial<DialOptions>): Promise<Program>
  /** Resolves when `service` can be called. */
  dialResponder(
    kind: ProgramKind,
    carrier: Carrier,
    service: string,
    more?: Partial<DialOptions>,
  ): Promise<Responder>
  /** Closes whatever was dialled and waits until nobody is connected. */
  allGone(): Promise<void>
}

interface Responder {
  readonly program: Program
  /** What fire-and-forget told it. */
  readonly told: readonly string[]
}

export async function openInteropBroker(): Promise<InteropBroker> {
  const ca = createTestCa()
  const { caPem } = ca
  const server = ca.issue({ dns: ['localhost'] })
  const certificates = [{ chainPem: server.certPem, keyPem: server.keyPem }]
  const context = serverTlsContext({ parameters: {}, certificates, alpn: [] }, 'none')
  const broker = new Broker(
    { id: 'interop' },
    {
      transport: createHandleTransport(),
      clock: realClock,
      log: silentLogger,
      random: Math.random,
    },
  )
  const address = { host: '127.0.0.1', port: 0 }
  const ports = {
    tcp: (await broker.listen({ kind: 'tcp', address })).port,
    ws: (await broker.listen({ kind: 'websocket', address })).port,
    tls: (await broker.listen({ kind: 'tcp', address, tls: () => context })).port,
  }
  const dialled: Program[] = []
  const dial: InteropBroker['dial'] = async (kind, carrier, more = {}) => {
    const port = ports[carrier]
    const program = await kind.dial({ carrier, port, caPem, services: [], ...more })
    dialled.push(program)
    return program
  }
  return {
    ...{ broker, dial },
    async dialResponder(kind, carrier, service, more = {}) {
      const told: string[] = []
      const onFireAndForget = (data: string) => void told.push(data)
      const program = await dial(kind, carrier, { services: [service], onFireAndForget, ...more })
      await eventually(() => assert.equal(broker.registry.find(service).length, 1))
      return { program, told }
    },
    async allGone() {
      for (const program of dialled.splice(0)) program.close()
      await eventually(() => assert.equal(broker.connections, 0))
    },
  }
}

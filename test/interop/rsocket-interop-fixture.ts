/** Brokers that programs dial: over TCP, WebSocket and TLS. */
import assert from 'node:assert/strict'
import { realClock, silentLogger } from '@weft/base'
import { Broker } from '@weft/broker'
import { createHandleTransport, serverTlsContext } from '@weft/net'
import { createTestCa, eventually } from '@weft/testkit'
import {
  createAuthority,
  type Node,
  openNode,
} from '../../packages/broker/src/cluster/cluster-fixture.ts'
import { EtcdSession } from '../../packages/broker/src/cluster/etcd/etcd-session.ts'
import { startEtcd } from './etcd.ts'
import type { Carrier, DialOptions, Program, ProgramKind } from './rsocket-program.ts'

export interface InteropBrokers {
  /** The one that requesters dial. */
  readonly broker: Broker
  /** The one that responders dial; it may be the same. */
  readonly far: Broker
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
  close(): Promise<void>
}

interface Responder {
  readonly program: Program
  /** What fire-and-forget told it. */
  readonly told: readonly string[]
}

/** One broker. */
export async function openInteropBroker(): Promise<InteropBrokers> {
  const broker = new Broker(
    { id: 'interop' },
    {
      transport: createHandleTransport(),
      clock: realClock,
      log: silentLogger,
      random: Math.random,
    },
  )
  return openPrograms(broker, broker, async () => broker.close())
}

/** Two brokers that know each other by etcd, and call each other by one link. */
export async function openInteropCluster(): Promise<InteropBrokers> {
  const running = await startEtcd()
  const ca = createAuthority()
  const etcd = {
    open: (onEnd: (reason: string) => void) =>
      EtcdSession.open({ url: running.url }, { clock: realClock, onEnd }),
  }
  // Who is told of both moves to either; here each stays where it dialled.
  const near = await openNode({ id: 'near', etcd, ca, external: [] })
  const far = await openNode({ id: 'far', etcd, ca, external: [] })
  const isLinked = ({ member }: Node) => member.status.brokers.some(({ link }) => link === 'up')
  await eventually(() => assert.ok(isLinked(near) && isLinked(far)))
  return openPrograms(near.broker, far.broker, async () => {
    await near.stop()
    await far.stop()
    await running[Symbol.asyncDispose]()
  })
}

async function openPrograms(
  near: Broker,
  far: Broker,
  close: () => Promise<void>,
): Promise<InteropBrokers> {
  const ca = createTestCa()
  const { caPem } = ca
  const server = ca.issue({ dns: ['localhost'] })
  const certificates = [{ chainPem: server.certPem, keyPem: server.keyPem }]
  const context = serverTlsContext({ parameters: {}, certificates, alpn: [] }, 'none')
  const listen = async (broker: Broker) => {
    const address = { host: '127.0.0.1', port: 0 }
    return {
      tcp: (await broker.listen({ kind: 'tcp', address })).port,
      ws: (await broker.listen({ kind: 'websocket', address })).port,
      tls: (await broker.listen({ kind: 'tcp', address, tls: () => context })).port,
    }
  }
  const nearPorts = await listen(near)
  const farPorts = far === near ? nearPorts : await listen(far)
  // Those between brokers.
  const links = [near.connections, far.connections]
  const dialled: Program[] = []
  const dialAt = async (
    ports: Readonly<Record<Carrier, number>>,
    kind: ProgramKind,
    carrier: Carrier,
    more: Partial<DialOptions> = {},
  ) => {
    const port = ports[carrier]
    const program = await kind.dial({ carrier, port, caPem, services: [], ...more })
    dialled.push(program)
    return program
  }
  return {
    ...{ broker: near, far, close },
    dial: (kind, carrier, more) => dialAt(nearPorts, kind, carrier, more),
    async dialResponder(kind, carrier, service, more = {}) {
      const told: string[] = []
      const onFireAndForget = (data: string) => void told.push(data)
      const options = { services: [service], onFireAndForget, ...more }
      const program = await dialAt(farPorts, kind, carrier, options)
      await eventually(() => assert.equal(near.registry.find(service).length, 1))
      return { program, told }
    },
    async allGone() {
      for (const program of dialled.splice(0)) program.close()
      await eventually(() => assert.deepEqual([near.connections, far.connections], links))
    },
  }
}

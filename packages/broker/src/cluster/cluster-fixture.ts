/** Test support: brokers that form a cluster, over real sockets and TLS, and clients of each. */
import { createHash, generateKeyPairSync } from 'node:crypto'
import { type Clock, realClock, silentLogger } from '@weft/base'
import { Authority, createRoot, readPem, writePem } from '@weft/identity'
import { parseSpiffeId, type SocketAddress } from '@weft/model'
import { createNodeTransport } from '@weft/net'
import { Broker, type BrokerDeps } from '../broker.ts'
import { type HelloOptions, TestClient } from '../broker-fixture.ts'
import { ClusterMember } from './cluster-member.ts'
import { drainCluster } from './drain-cluster.ts'
import { HopTls } from './hop-tls.ts'
import type { ModelEtcd } from './model-etcd-fixture.ts'

export const TRUST_DOMAIN = 'mesh.example'
const BROKER_ID = `spiffe://${TRUST_DOMAIN}/ns/default/sa/broker`

const transport = createNodeTransport()

export interface Node {
  readonly broker: Broker
  readonly member: ClusterMember
  /** Where applications dial in. */
  readonly address: SocketAddress
  /** Where brokers do. */
  readonly clusterAddress: SocketAddress
  readonly tls: HopTls
  dial(hello?: HelloOptions): Promise<TestClient>
  /** As SIGTERM does. */
  drain(deadlineMs: number): Promise<void>
  stop(): Promise<void>
}

export interface NodeOptions {
  readonly id: string
  readonly etcd: Pick<ModelEtcd, 'open'>
  readonly ca: Authority
  /** SPIFFE ID that it shows. */
  readonly shows?: string
  readonly peers?: readonly string[]
  readonly zone?: string
  readonly incarnation?: string
  /** Where it tells clients to dial; default: where it listens. */
  readonly external?: readonly string[]
  readonly clock?: Clock
  readonly deps?: Partial<BrokerDeps>
  /** Default: one without a control plane. */
  readonly make?: (deps: BrokerDeps) => Broker
}

export function createAuthority(): Authority {
  const validity = { nowMs: realClock.nowMs(), lifetimeMs: 3_600_000 }
  return new Authority(createRoot(TRUST_DOMAIN, validity), TRUST_DOMAIN)
}

/** A certificate of the mesh with this name. */
export function certificateOf(ca: Authority, name = BROKER_ID) {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const der = publicKey.export({ type: 'spki', format: 'der' })
  const keyHash = createHash('sha256').update(der).digest('hex')
  const parsed = parseSpiffeId(name)
  if (!parsed.ok) throw new Error(`no SPIFFE ID: ${name}`)
  const validity = { nowMs: realClock.nowMs(), lifetimeMs: 3_600_000 }
  const { chain } = ca.issue({ publicKey: der, keyHash }, parsed.id, validity)
  return {
    chainPem: chain.map((each) => writePem('CERTIFICATE', each)).join(''),
    keyPem: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
  }
}

/** Shows another certificate of the same name from then on. */
export const renewals = new WeakMap<HopTls, () => void>()

export function tlsOf(ca: Authority, shows = BROKER_ID, peers: readonly string[] = []): HopTls {
  const roots = new Map([[TRUST_DOMAIN, readPem(ca.rootPem, 'CERTIFICATE')]])
  let identity = { id: shows, ...certificateOf(ca, shows), roots }
  const tls = new HopTls({ identity: () => identity, peers }, () => realClock.nowMs())
  renewals.set(tls, () => {
    identity = { ...identity, ...certificateOf(ca, shows) }
  })
  return tls
}

let starts = 0

export async function openNode(options: NodeOptions): Promise<Node> {
  const { id, etcd, ca, clock = realClock } = options
  const tls = tlsOf(ca, options.shows, options.peers)
  const log = silentLogger
  const incarnation = options.incarnation ?? `start${++starts}`
  const member = new ClusterMember(
    { id, incarnation, prefix: '/weft/rsocket/', zone: options.zone ?? '' },
    {
      ...{ clock, log, random: Math.random, transport, tls },
      openStore: (onEnd) => etcd.open(onEnd),
    },
  )
  const make = options.make ?? ((deps: BrokerDeps) => new Broker({ id }, deps))
  const parts = { transport, clock, log, random: Math.random, cluster: member }
  const broker = make({ ...parts, ...options.deps })
  member.serve(broker)
  const at = { host: '127.0.0.1', port: 0 }
  const address = await broker.listen({ kind: 'tcp', address: at })
  const clusterAddress = await broker.listen({ kind: 'tcp', address: at, tls: () => tls.server })
  member.open({
    addr: `127.0.0.1:${clusterAddress.port}`,
    external: options.external ?? [`tcp://127.0.0.1:${address.port}`],
  })
  return {
    ...{ broker, member, address, clusterAddress, tls },
    dial: (hello = {}) => TestClient.dial(transport, address, hello),
    drain: (deadlineMs) => drainCluster(member, broker, deadlineMs),
    async stop() {
      await member.close()
      broker.close()
    },
  }
}

/** A broker's part of a cluster from its options. */
import { randomBytes } from 'node:crypto'
import type { Clock, Logger } from '@weft/base'
import type { ServerTlsContext, Transport } from '@weft/net'
import { ClusterMember } from './cluster-member.ts'
import { EtcdMembers, type EtcdOptions } from './etcd/etcd-members.ts'
import { type HopIdentity, HopTls } from './hop-tls.ts'

export interface ClusterSettings {
  /** Of the broker; unique in the cluster. */
  readonly id: string
  /** Keys in etcd begin with it; ends with a slash. */
  readonly prefix: string
  /** Where the broker is; empty: not known. */
  readonly zone: string
  readonly etcd: EtcdOptions
  /** SPIFFE IDs of brokers; empty: our own. */
  readonly peers: readonly string[]
}

export interface ClusterSettingsDeps {
  readonly clock: Clock
  readonly log: Logger
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly transport: Transport
  /** Undefined as long as there is no certificate. */
  identity(): HopIdentity | undefined
}

export interface Cluster {
  readonly member: ClusterMember
  /** Of the listener for other brokers. @throws {Error} As long as there is no certificate. */
  serverTls(): ServerTlsContext
}

export function createCluster(settings: ClusterSettings, deps: ClusterSettingsDeps): Cluster {
  const { clock } = deps
  const { id, prefix, zone, etcd, peers } = settings
  const tls = new HopTls({ identity: () => deps.identity(), peers }, () => clock.nowMs())
  const members = new EtcdMembers(etcd, clock)
  const incarnation = randomBytes(6).toString('hex')
  const member = new ClusterMember(
    { id, incarnation, prefix, zone },
    { ...deps, tls, openStore: (onEnd) => members.open(onEnd) },
  )
  return { member, serverTls: () => tls.server }
}

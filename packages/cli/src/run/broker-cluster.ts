/** A broker's part of a cluster: what it shows to others, where they find it, and the way down. */
import { X509Certificate } from 'node:crypto'
import { type Authentication, type Broker, type Cluster, createCluster } from '@weft/broker'
import { renderAddress } from '@weft/model'
import { type ClusterRunOptions, isWildcard } from './broker-cluster-options.ts'
import type { BrokerListener } from './broker-options.ts'
import type { BrokerTls } from './broker-tls.ts'

export type ClusterDeps = Omit<Parameters<typeof createCluster>[1], 'identity'> & {
  readonly tls: Pick<BrokerTls, 'pair'>
  readonly authentication: Pick<Authentication, 'roots'>
}

const SCHEMES = { tcp: 'tcp', tls: 'tcps', ws: 'ws', wss: 'wss' } as const

export function openCluster(
  id: string,
  { settings }: ClusterRunOptions,
  { tls, authentication, ...deps }: ClusterDeps,
): Cluster {
  return createCluster(
    { id, ...settings },
    {
      ...deps,
      identity() {
        const { pair } = tls
        if (pair === undefined) return undefined
        return { id: spiffeIdOf(pair.chainPem), ...pair, roots: authentication.roots() }
      },
    },
  )
}

/** Of the leaf; empty: it has none, and nobody takes it for a broker. */
function spiffeIdOf(chainPem: string): string {
  const names = new X509Certificate(chainPem).subjectAltName ?? ''
  return /(?:^|, )URI:(spiffe:\/\/[^,\s]+)/.exec(names)?.[1] ?? ''
}

/** Other brokers can dial from now on, and applications are told where this one is. */
export async function joinCluster(
  { member, serverTls }: Cluster,
  options: ClusterRunOptions,
  broker: Broker,
  bound: {
    readonly listeners: readonly BrokerListener[]
    readonly addresses: Readonly<Record<string, string>>
  },
): Promise<string> {
  const address = await broker.listen({ kind: 'tcp', address: options.listen, tls: serverTls })
  const named = options.address ?? address
  const addr = renderAddress(named.port === 0 ? { ...named, port: address.port } : named)
  const external = options.external ?? listenedAt(bound.listeners, bound.addresses)
  member.open({ addr, external })
  return addr
}

/** As far as it is known how others reach them. */
function listenedAt(
  listeners: readonly BrokerListener[],
  addresses: Readonly<Record<string, string>>,
): readonly string[] {
  return listeners.flatMap(({ name, address: { host } }) => {
    const at = addresses[name]
    return at === undefined || isWildcard(host) ? [] : [`${SCHEMES[name]}://${at}`]
  })
}

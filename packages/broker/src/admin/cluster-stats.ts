/** What a broker counts of its cluster, as metrics: `weft_rsocket_hop_total`, `weft_rsocket_cluster_…`. */
import type { MetricsRegistry } from '@weft/telemetry'
import type { Broker } from '../broker.ts'
import type { ClusterMember } from '../cluster/cluster-member.ts'

/** Registers them; they are read when somebody scrapes. */
export function registerClusterStats(
  registry: MetricsRegistry,
  broker: Broker,
  cluster: Pick<ClusterMember, 'status'>,
): void {
  const one = registry.table({ labels: [], maxSeries: 1, expiryMs: 0 })
  const slot = one.slot([])
  const ways = registry.table({ labels: ['direction'], maxSeries: 2, expiryMs: 0 })
  const states = registry.table({ labels: ['link'], maxSeries: 2, expiryMs: 0 })
  const hops = registry.counter(
    'weft_rsocket_hop_total',
    'Requests to other brokers (out), and from them (in).',
    ways,
  )
  const connected = registry.gauge(
    'weft_rsocket_cluster_connected',
    '1: etcd is reached. 0: what is known of other brokers is of before.',
    one,
  )
  const brokers = registry.gauge(
    'weft_rsocket_cluster_brokers',
    'Other brokers, by whether the link to them is up.',
    states,
  )
  const instances = registry.gauge(
    'weft_rsocket_cluster_instances',
    'Connections of instances to other brokers that can be called.',
    one,
  )
  registry.onCollect(() => {
    const { state, brokers: rows } = cluster.status
    hops.set(ways.slot(['out']), broker.counters.hopsOut)
    hops.set(ways.slot(['in']), broker.counters.hopsIn)
    connected.set(slot, state === 'connected' ? 1 : 0)
    const up = rows.filter(({ link }) => link === 'up').length
    brokers.set(states.slot(['up']), up)
    brokers.set(states.slot(['down']), rows.length - up)
    instances.set(
      slot,
      rows.reduce((sum, row) => sum + row.instances, 0),
    )
  })
}

/** A broker under the mesh's policy: what dials in is a workload, what it calls is routed as HTTP is. */

import { sleep } from '@weft/base'
import { renderAddress } from '@weft/model'
import type { MetricsRegistry } from '@weft/telemetry'
import { Broker, type BrokerDeps, type BrokerOptions } from '../broker.ts'
import { HttpBridge } from '../http/bridge.ts'
import { CallMetrics } from './call-metrics.ts'
import { MeshRouter } from './mesh-router.ts'
import { Mirrors } from './mirrors.ts'
import { WorkloadFeeds, type WorkloadFeedsOptions } from './workload-feeds.ts'

export interface MeshBroker {
  readonly broker: Broker
  readonly feeds: WorkloadFeeds
  /** Has the metrics of all calls, under Istio's names. */
  readonly registry: MetricsRegistry
  close(): Promise<void>
}

export function openMeshBroker(
  options: BrokerOptions &
    WorkloadFeedsOptions & { readonly bridgeHost: string; readonly version?: string },
  deps: BrokerDeps,
): MeshBroker {
  const { clock, log, random } = deps
  const bridge = new HttpBridge(options.bridgeHost)
  const feeds = new WorkloadFeeds(options, {
    ...{ clock, log, random },
    openEndpoint: (kind) => bridge.open(kind),
    closeEndpoint: (kind) => bridge.closeKind(kind),
  })
  const mirrors = new Mirrors()
  const metrics = new CallMetrics({ version: options.version ?? '' }, feeds)
  const broker = new Broker(options, {
    ...deps,
    onOpen: (leg) => feeds.add(leg),
    onGone: (leg) => feeds.remove(leg),
    onServing: (leg) => feeds.onServing(leg),
    router: (parts) =>
      new MeshRouter({
        ...parts,
        ...{ feeds, mirrors, metrics, clock, log, wallMs: () => clock.nowMs() },
        bridged: (leg) => bridge.kindFor(leg),
        random,
        nowMs: () => clock.monotonicMs(),
        sleep: (delayMs) => sleep(clock, delayMs),
      }),
  })
  bridge.serve(broker)
  mirrors.serve(broker)
  log.info('the broker asks the control plane about everyone who dials in', {
    control: 'path' in options.connect ? options.connect.path : renderAddress(options.connect),
  })
  return {
    broker,
    feeds,
    registry: metrics.registry,
    async close() {
      broker.close()
      bridge.close()
      mirrors.close()
      await feeds.close()
    },
  }
}

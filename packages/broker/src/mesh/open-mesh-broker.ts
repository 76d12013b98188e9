/** A broker under the mesh's policy: what dials in is a workload, what it calls is routed as HTTP is. */

import { join } from 'node:path'
import { type Clock, sleep } from '@weft/base'
import { renderAddress, type SocketAddress } from '@weft/model'
import { guardedFetch } from '@weft/net'
import { AccessLogs, type MetricsRegistry } from '@weft/telemetry'
import { matchText } from '@weft/traffic'
import { ServiceClient } from '@weft/xds'
import { Broker, type BrokerDeps, type BrokerOptions } from '../broker.ts'
import { HttpBridge } from '../http/bridge.ts'
import { CallLogs } from './call-logs.ts'
import { CallMetrics } from './call-metrics.ts'
import type { GatesDeps } from './gates.ts'
import { MeshRouter } from './mesh-router.ts'
import { Mirrors } from './mirrors.ts'
import { Outside } from './outside.ts'
import { openPolicyStream } from './policy-stream.ts'
import type { OpenSidecar } from './sidecar.ts'
import {
  WorkloadFeeds,
  type WorkloadFeedsDeps,
  type WorkloadFeedsOptions,
} from './workload-feeds.ts'

const MAX_KEY_SET_BYTES = 262_144

export interface MeshBroker {
  readonly broker: Broker
  readonly feeds: WorkloadFeeds
  /** Has the metrics of all calls, under Istio's names. */
  readonly registry: MetricsRegistry
  close(): Promise<void>
}

export interface MeshBrokerOptions extends BrokerOptions, WorkloadFeedsOptions {
  readonly connect: SocketAddress | { readonly path: string }
  /** Address at which the mesh reaches what dialled in. */
  readonly bridgeHost: string
  /** Hosts of token issuers that may be on loopback or asked over plain http. */
  readonly keyHosts?: readonly string[]
  /** Of the program, for metrics. */
  readonly version?: string
  /**
   * Sidecars of kinds of workloads, and a folder for Unix sockets that only this user reaches.
   * Absent: the mesh asks in plaintext, and who dialled in reaches only who did, too.
   */
  readonly sidecars?: { readonly open: OpenSidecar; readonly folder: string }
}

export function openMeshBroker(options: MeshBrokerOptions, deps: BrokerDeps): MeshBroker {
  const { clock, log, random } = deps
  const bridge = new HttpBridge(options.bridgeHost)
  const outside = new Outside()
  const feeds = new WorkloadFeeds(options, {
    ...{ clock, log, random },
    openSidecar: sidecarsOf(options, { clock, log, random }, bridge, outside),
    onGone(kind) {
      bridge.closeKind(kind)
      outside.closeKind(kind)
    },
    onPlaces: () => deps.cluster?.setPlaces(feeds.places),
  })
  deps.cluster?.onPlaces((id, places) => feeds.learnPlaces(id, places))
  const mirrors = new Mirrors()
  const metrics = new CallMetrics({ version: options.version ?? '' }, feeds)
  const accessLogs = new AccessLogs(clock, undefined, metrics.registry, matchText)
  const wallMs = () => clock.nowMs()
  const logs = new CallLogs({ feeds, logs: accessLogs, wallMs })
  const broker = new Broker(options, {
    ...deps,
    onOpen: (leg) => feeds.add(leg),
    onGone: (leg) => feeds.remove(leg),
    onServing: (leg) => feeds.onServing(leg),
    router: (parts) =>
      new MeshRouter({
        ...parts,
        ...{ feeds, mirrors, metrics, logs, clock, log, wallMs },
        bridged: (leg) => bridge.callOf(leg),
        outside: (kind) => outside.legFor(kind),
        nativeOutside: (kind) => outside.nativeLegFor(kind),
        random,
        nowMs: () => clock.monotonicMs(),
        askService: serviceAsker(options.connect, clock),
        sleep: (delayMs) => sleep(clock, delayMs),
        fetchKeys: (uri, timeoutMs) => {
          const allowedHosts = options.keyHosts ?? []
          return guardedFetch(uri, { clock, timeoutMs, allowedHosts, maxBytes: MAX_KEY_SET_BYTES })
        },
      }),
  })
  bridge.serve(broker)
  outside.serve(broker)
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
      outside.close()
      mirrors.close()
      await feeds.close()
      await accessLogs.close()
    },
  }
}

/** The control plane's own cluster: it need not be in the configuration. */
const CONTROL_CLUSTER = 'weft-control'

/** Over the sidecar of the kind; the control plane itself is always there. */
function serviceAsker(
  connect: MeshBrokerOptions['connect'],
  clock: Clock,
): GatesDeps['askService'] {
  const control = new ServiceClient()
  return ({ opened }, cluster, question, done) => {
    const asked = opened?.ask(cluster, question, done)
    if (asked !== undefined) return asked
    if (cluster === CONTROL_CLUSTER) return control.ask({ target: connect }, question, clock, done)
    done(undefined)
    return () => {}
  }
}

function sidecarsOf(
  { connect, sidecars }: MeshBrokerOptions,
  deps: Pick<BrokerDeps, 'clock' | 'log' | 'random'>,
  bridge: HttpBridge,
  outside: Outside,
): WorkloadFeedsDeps['openSidecar'] {
  if (sidecars === undefined) {
    return async (kind, onConfiguration) => {
      const { workload, services } = kind
      const endpoint = await bridge.open(kind)
      return openPolicyStream({ workload, services, endpoint, connect, onConfiguration }, deps)
    }
  }
  let opened = 0
  return async (kind, onConfiguration) => {
    const { workload, principal, services } = kind
    const name = String(opened++)
    const at = (way: string) => join(sidecars.folder, `${name}.${way}`)
    const order = { workload, principal, services, bridge: at('in'), outbound: at('out') }
    await bridge.openSocket(kind, order.bridge)
    const sidecar = await sidecars.open({ ...order, onConfiguration })
    outside.open(kind, order.outbound)
    return sidecar
  }
}

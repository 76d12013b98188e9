/** The parts of a proxy that know each other, made in order; `proxy.ts` gives them life. */
import type { Clock, LogScopes } from '@weft/base'
import type { Secret } from '@weft/model'
import { TimerWheel, type Transport } from '@weft/net'
import { renderPeerHeader } from '@weft/telemetry'
import { ClusterStore } from './build/cluster-store.ts'
import { NameResolver } from './build/name-resolver.ts'
import { RuntimeBuilder } from './build/runtime-builder.ts'
import type { EngineDeps } from './exchange/contract.ts'
import type { SharedLimits } from './filters/rate-limit/shared-limiter.ts'
import { ConnectionBudget, maxClients } from './listen/connection-budget.ts'
import { openListener } from './listen/listener.ts'
import { ListenerSlot } from './listen/listener-slot.ts'
import { serviceClusterOf } from './node-identity.ts'
import { registerConnectionMetrics } from './observe/server-metrics.ts'
import { OpenListeners } from './open-listeners.ts'
import { openSocket } from './open-socket.ts'
import { openOverload } from './overload/open-overload.ts'
import type { OverloadManager } from './overload/overload-manager.ts'
import { registerOverloadMetrics } from './overload/overload-metrics.ts'
import { OverloadState } from './overload/overload-state.ts'
import { DEFAULT_TIMINGS, type ProxyOptions } from './proxy-options.ts'
import { ProxyTelemetry, workloadRefOf } from './proxy-telemetry.ts'
import { TlsContexts } from './tls/tls-contexts.ts'
import { type ListeningSockets, socketKey } from './upgrade/handed-sockets.ts'
import { ControlQuestions } from './upstream/control-questions.ts'

export interface ProxyParts {
  readonly telemetry: ProxyTelemetry
  readonly clusters: ClusterStore
  readonly builder: RuntimeBuilder
  readonly listeners: OpenListeners
  readonly overload: OverloadManager | undefined
  /** Absent: the configuration comes from files. */
  readonly control: ControlQuestions | undefined
}

interface PartsDeps {
  readonly clock: Clock
  readonly random: () => number
  readonly logs: LogScopes
  /** Descriptors this process may hold. */
  readonly fileLimit: number | undefined
  /** From the process that this one succeeds, or from its supervisor. */
  readonly handed?: ListeningSockets
  /** Absent: it is the only process of its proxy. */
  readonly limits?: SharedLimits
  /** Of the configuration in force. */
  readonly secretOf: (name: string) => Secret | undefined
}

/** Names that requests to anywhere may make the resolver remember. */
const MAX_NAMES = 1_024
/** Lookups at a time; Node's pool has four threads and files need some. */
const MAX_LOOKUPS = 2

/** @param onApplied See `OpenListenersDeps`. */
export function buildProxyParts(
  options: ProxyOptions,
  transport: Transport,
  { clock, random, logs, fileLimit, handed, limits, secretOf }: PartsDeps,
  onApplied: () => void,
): ProxyParts {
  const { holdMs, dnsRefreshMs } = { ...DEFAULT_TIMINGS, ...options.timings }
  const resolver = new NameResolver(
    { refreshMs: dnsRefreshMs, maxConcurrent: MAX_LOOKUPS, maxNames: MAX_NAMES },
    { clock, log: logs.logger('dns') },
  )
  const tls = new TlsContexts()
  const telemetry = new ProxyTelemetry(options, clock)
  const overloaded = options.overload && new OverloadState(options.overload.minIdleMs, random)
  const { source } = options
  const control =
    source.kind === 'ads'
      ? new ControlQuestions(
          { target: source.connect, isTls: source.isTls === true },
          { clock, secretOf },
        )
      : undefined
  const engine: EngineDeps = {
    transport,
    clock,
    wheel: new TimerWheel(clock),
    random,
    log: logs.logger('engine'),
    resolve: (name) => resolver.resolve(name),
    tls,
    locality: options.workload.locality,
    filterStats: telemetry.filters,
    http2Stats: telemetry.http2,
    ...(control === undefined ? {} : { control }),
    serviceCluster: serviceClusterOf(options),
    ...(limits === undefined ? {} : { limits }),
    ...(options.keyHosts === undefined ? {} : { keyHosts: options.keyHosts }),
    ...(overloaded === undefined ? {} : { overload: overloaded }),
  }
  const clusters = new ClusterStore(engine, resolver)
  const peer = options.tellPeer === false ? undefined : renderPeerHeader(workloadRefOf(options))
  const builder = new RuntimeBuilder(
    { peer },
    {
      clusters,
      tls,
      observerFor: (listener, filter) => telemetry.observerFor(listener, filter),
    },
  )
  const connections = new ConnectionBudget(maxClients(fileLimit), clock, engine.log)
  registerConnectionMetrics(telemetry.registry, connections)
  const listeners = new OpenListeners({
    clock,
    log: logs.logger('listeners'),
    open: (address, name) =>
      openSocket(socketKey(name, address), address, {
        transport,
        sockets: handed,
        open: (where) =>
          openListener({ ...where, holdMs, connections }, new ListenerSlot(), engine),
      }),
    onStopped: (address, name) => handed?.released?.(socketKey(name, address)),
    onApplied,
  })
  const { overload: limitsOf } = options
  const overload =
    overloaded &&
    limitsOf &&
    openOverload(limitsOf, {
      ...{ clock, log: logs.logger('overload'), state: overloaded, targets: listeners },
      ...{ connections, processes: processesOf(limits) },
    })
  if (overload !== undefined) registerOverloadMetrics(telemetry.registry, overload)
  return { telemetry, clusters, builder, listeners, overload, control }
}

/** Workers, and the process that has them. */
function processesOf(limits: SharedLimits | undefined): number {
  return limits === undefined ? 1 : limits.place.count + 1
}

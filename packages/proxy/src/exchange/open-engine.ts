/** An engine at a listener of its own, with one route to its first cluster; for tests only. */
import type { HttpConnectionManager, Route, RouteAction } from '@weft/model'
import { openListener } from '../listen/listener.ts'
import { ListenerSlot } from '../listen/listener-slot.ts'
import type { UpstreamCluster } from '../upstream/cluster.ts'
import type { EngineDeps, ExchangeObserver } from './contract.ts'
import {
  forwardTo,
  httpRuntime,
  listenerRuntime,
  MANAGER,
  routeOf,
  tableOf,
} from './engine-fixture.ts'

interface EngineChanges {
  readonly action?: Partial<RouteAction> | undefined
  readonly route?: Partial<Route> | undefined
  readonly manager?: Partial<HttpConnectionManager> | undefined
}

export async function openEngine(
  clusters: readonly [UpstreamCluster, ...UpstreamCluster[]],
  observer: ExchangeObserver,
  { action, route, manager }: EngineChanges,
  deps: EngineDeps,
) {
  const table = tableOf([routeOf(forwardTo(clusters[0].model.name, action), route)])
  const changes = { observer, manager: { ...MANAGER, ...manager } }
  const runtime = httpRuntime(table, clusters, changes)
  const slot = new ListenerSlot(listenerRuntime(runtime))
  const listener = await openListener({ address: { host: '127.0.0.1', port: 0 } }, slot, deps)
  return { listener, slot, runtime }
}

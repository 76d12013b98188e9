/**
 * A configuration as it runs: model resources in, one runtime tree per listener
 * out. What did not change stays the same object all the way up, so that an
 * equal configuration is a no-op and a new endpoint rebuilds no route table.
 *
 *     clusters ──► ClusterStore (kept across configurations)
 *     routes   ──► compiled, remembered by table
 *     listener ──► ListenerRuntime, remembered by all it was made of
 */
import type {
  FilterChain,
  HttpConnectionManager,
  Listener,
  ResourceSet,
  RouteTable,
  Secret,
  TcpProxy,
} from '@weft/model'
import { PEER_HEADER } from '@weft/telemetry'
import { type CompiledRouteTable, compileRouteTable } from '@weft/traffic'
import type {
  ChainRuntime,
  ExchangeObserver,
  HttpRuntime,
  ListenerRuntime,
  TcpRuntime,
} from '../exchange/contract.ts'
import type { TlsContexts } from '../tls/tls-contexts.ts'
import type { UpstreamCluster } from '../upstream/cluster.ts'
import type { ClusterStore } from './cluster-store.ts'
import { isMeshCluster, stampPeer } from './peer-stamp.ts'

export interface RuntimeBuilderOptions {
  /** The value of `x-weft-peer` for workloads of the mesh; absent: nobody is told. */
  readonly peer: string | undefined
}

export interface RuntimeBuilderDeps {
  readonly clusters: ClusterStore
  readonly tls?: TlsContexts
  /** Who watches what a listener does. */
  observerFor(listener: Listener, filter: HttpConnectionManager | TcpProxy): ExchangeObserver
}

interface Built {
  readonly listener: Listener
  readonly tables: readonly (CompiledRouteTable | undefined)[]
  readonly clusters: ReadonlyMap<string, UpstreamCluster>
  /** What its chains' handshakes need; those who wait for one are woken when it comes. */
  readonly secrets: readonly (Secret | undefined)[]
  readonly runtime: ListenerRuntime
}

interface CompiledTable {
  /** Which targets were of the mesh: the only thing beside the table that it depends on. */
  readonly meshTargets: string
  readonly compiled: CompiledRouteTable
}

/** Answers 404 to everything: what a route configuration that does not exist means. */
const NO_ROUTES: RouteTable = { name: '', virtualHosts: [], origins: [] }

function tableOf({ routes }: HttpConnectionManager, set: ResourceSet): RouteTable {
  return routes.kind === 'inline' ? routes.table : (set.route.get(routes.name) ?? NO_ROUTES)
}

export class RuntimeBuilder {
  readonly #options: RuntimeBuilderOptions
  readonly #deps: RuntimeBuilderDeps
  readonly #compiled = new WeakMap<RouteTable, CompiledTable>()
  readonly #targets = new WeakMap<RouteTable, readonly string[]>()
  #built = new Map<string, Built>()

  constructor(options: RuntimeBuilderOptions, deps: RuntimeBuilderDeps) {
    this.#options = options
    this.#deps = deps
  }

  /**
   * The tree of every listener. Everything in `set` was validated before; clusters
   * that are gone can be released once these trees are published.
   */
  build(set: ResourceSet): ReadonlyMap<string, ListenerRuntime> {
    this.#deps.tls?.update(set.secret)
    this.#deps.clusters.apply(set.cluster, set.endpoints)
    const built = new Map<string, Built>()
    for (const [name, listener] of set.listener) built.set(name, this.#listener(listener, set))
    this.#built = built
    return new Map([...built].map(([name, { runtime }]) => [name, runtime]))
  }

  #listener(listener: Listener, set: ResourceSet): Built {
    const { clusters } = this.#deps.clusters
    const chains = [
      ...listener.filterChains,
      ...(listener.defaultFilterChain === undefined ? [] : [listener.defaultFilterChain]),
    ]
    const tables = chains.map(({ filter }) =>
      filter.kind === 'http' ? this.#routes(filter, set) : undefined,
    )
    const secrets = chains.flatMap(({ tls }) =>
      tls === undefined
        ? []
        : [...tls.certificates, tls.validation ?? ''].map((name) => set.secret.get(name)),
    )
    const before = this.#built.get(listener.name)
    if (
      before !== undefined &&
      before.listener === listener &&
      before.clusters === clusters &&
      before.secrets.every((secret, i) => secret === secrets[i]) &&
      before.tables.every((table, i) => table === tables[i])
    ) {
      return before
    }
    const runtimes = chains.map((chain, i) => this.#chain(listener, chain, tables[i]))
    const last = runtimes.at(-1)
    const runtime: ListenerRuntime = {
      name: listener.name,
      direction: listener.direction,
      ...(listener.proxyProtocol === undefined ? {} : { proxyProtocol: listener.proxyProtocol }),
      ...(listener.proxyHeader === undefined ? {} : { proxyHeader: listener.proxyHeader }),
      ...(listener.defaultFilterChain === undefined || last === undefined
        ? { chains: runtimes }
        : { chains: runtimes.slice(0, -1), defaultChain: last }),
    }
    return { listener, tables, clusters, secrets, runtime }
  }

  #chain(
    listener: Listener,
    chain: FilterChain,
    routes: CompiledRouteTable | undefined,
  ): ChainRuntime {
    const { filter } = chain
    const common = {
      listener: listener.name,
      direction: listener.direction,
      clusters: this.#deps.clusters.clusters,
      observer: this.#deps.observerFor(listener, filter),
    }
    const handler: HttpRuntime | TcpRuntime =
      filter.kind === 'tcp'
        ? { kind: 'tcp', proxy: filter, ...common }
        : {
            kind: 'http',
            manager: filter,
            routes,
            // The application gets what its caller sent, not what proxies tell each other.
            ...(listener.direction === 'inbound' ? { requestStrips: [PEER_HEADER] } : {}),
            ...common,
          }
    const tls = chain.tls === undefined ? {} : { tls: chain.tls }
    const rbac = chain.rbac === undefined ? {} : { rbac: chain.rbac }
    return { name: chain.name, match: chain.match, ...tls, ...rbac, handler }
  }

  #routes(manager: HttpConnectionManager, set: ResourceSet): CompiledRouteTable {
    const table = tableOf(manager, set)
    const isMesh = (name: string) => {
      const cluster = set.cluster.get(name)
      return cluster?.discovery.kind === 'eds'
        ? isMeshCluster(set.endpoints.get(cluster.discovery.name))
        : false
    }
    const { peer } = this.#options
    const meshTargets = peer === undefined ? '' : this.#targetsOf(table).filter(isMesh).join()
    const known = this.#compiled.get(table)
    if (known !== undefined && known.meshTargets === meshTargets) return known.compiled
    const compiled = compileRouteTable(peer === undefined ? table : stampPeer(table, peer, isMesh))
    this.#compiled.set(table, { meshTargets, compiled })
    return compiled
  }

  /** Every cluster that a table sends requests to; asked for with every change of endpoints. */
  #targetsOf(table: RouteTable): readonly string[] {
    const known = this.#targets.get(table)
    if (known !== undefined) return known
    const names = table.virtualHosts.flatMap(({ routes }) =>
      routes.flatMap(({ action }) =>
        action.kind === 'forward' ? action.targets.map(({ cluster }) => cluster) : [],
      ),
    )
    const targets = [...new Set(names)]
    this.#targets.set(table, targets)
    return targets
  }
}

/**
 * The control plane as one value: folders in, xDS and an admin API out.
 *
 *     sources --> documents --+--> static registry ----+
 *                             |                        +--> snapshot --> views --> ADS
 *     proxies --> self-registration -------------------+
 */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, type Logger, realClock, silentLogger, watchClockJumps } from '@weft/base'
import { analyze } from '@weft/config'
import type { SocketAddress } from '@weft/model'
import { type AdsServer, createAdsServer, type XdsNode, type XdsTls } from '@weft/xds'
import { type OperatorOptions, Operators } from './admin/access/operators.ts'
import { OWNER } from './admin/access/roles.ts'
import { type AdminServer, openAdminServer } from './admin/admin-server.ts'
import type { ConnectedProxy, PlaneView } from './admin/endpoint.ts'
import { type OpenedMeshCa, openMeshCa } from './ca/open-mesh-ca.ts'
import type { CaOptions } from './ca/options.ts'
import { Changes } from './metrics/changes.ts'
import { PilotMetrics } from './metrics/pilot-metrics.ts'
import { Push } from './push/push.ts'
import { Views, viewKeyOf } from './push/views.ts'
import { openGlobalLimits } from './rate-limit/open-global-limits.ts'
import type { RedisOptions } from './rate-limit/redis-counts.ts'
import { RegistrationStore } from './registration-store.ts'
import { registries } from './registries/catalog.ts'
import { EMPTY_REGISTRY, type RegistryState } from './registries/registry.ts'
import { ShrinkGuard } from './registries/shrink-guard.ts'
import { buildSnapshot } from './snapshot/build.ts'
import { LOCAL_TLS_FILES } from './snapshot/local-tls-files.ts'
import { DEFAULT_MESH } from './snapshot/mesh-settings.ts'
import type { MeshSnapshot } from './snapshot/mesh-snapshot.ts'
import { TRUST_BUNDLE } from './snapshot/secrets.ts'
import { sources } from './sources/catalog.ts'
import { LastGoodTexts } from './sources/files/last-good.ts'
import { EMPTY_SOURCE, type SourceState } from './sources/source.ts'
import { ConditionTimes } from './status/condition-times.ts'
import { rollUp } from './status/delivery.ts'
import type { ObjectStatus } from './status/object-status.ts'
import { objectStatuses } from './status/object-statuses.ts'
import { hasIdentity, offersOf, workloadOf } from './translate/node-view.ts'

export interface ControlPlaneOptions {
  /** Folders or files to watch; `weft apply` writes into the first folder. */
  readonly sources: readonly string[]
  /** Where proxies connect; default 127.0.0.1:15010. Port 0 takes a free one. */
  readonly xds?: SocketAddress
  /** Take plaintext xDS on an address that others reach: whoever may connect gets everything. */
  readonly insecureXds?: boolean
  /** The same over TLS, for other machines: certificates, or tokens of issuers. Absent: none. */
  readonly xdsTls?: SocketAddress
  /** A unix socket for xDS besides. */
  readonly xdsSocketPath?: string
  /** Default 127.0.0.1:15014. Plaintext, so loopback only unless `insecureAdmin`. */
  readonly admin?: SocketAddress
  /** Take tokens in plaintext on an address that others reach. */
  readonly insecureAdmin?: boolean
  /** The admin API over TLS, for other machines, with the control plane's own certificate. */
  readonly adminTls?: SocketAddress
  /** A unix socket for the admin API besides: whoever may open it (mode 0600) is its owner. */
  readonly adminSocketPath?: string
  /** Names by which browsers may reach the admin API, beside localhost and addresses. */
  readonly adminHosts?: readonly string[]
  /** Who may do what by the admin API; its folder is below `stateDir` unless it says otherwise. */
  readonly operators?: OperatorOptions
  /**
   * Keeps what must survive a restart: self-registered endpoints and the last
   * good form of every file. Absent: nothing is kept.
   */
  readonly stateDir?: string
  /** How long a self-registered endpoint outlives its stream; default 5000. */
  readonly registrationGraceMs?: number
  /** The mesh's CA; its folder is below `stateDir` unless it says otherwise. */
  readonly ca?: CaOptions
  /** Where global rate limits are counted; absent: in memory. */
  readonly rateLimitRedis?: RedisOptions
  /** Uniform in [0, 1). */
  readonly random?: () => number
  readonly clock?: Clock
  readonly log?: Logger
}

export interface ControlPlane {
  readonly xds: SocketAddress
  /** With `xdsTls`. */
  readonly xdsTls: SocketAddress | undefined
  readonly admin: SocketAddress
  /** With `adminTls`. */
  readonly adminTls: SocketAddress | undefined
  /** Of whoever started it: the role admin in all namespaces, from this machine. */
  readonly ownerToken: string
  /** A path of the admin API that signs a browser in as the owner, once and for ten minutes. */
  consoleLink(): string
  /** Paths of every gRPC method that the xDS ports serve. */
  xdsMethods(): readonly string[]
  /** Where other trust domains find the mesh's bundle. */
  readonly bundleEndpoint: SocketAddress | undefined
  snapshot(): MeshSnapshot
  statuses(): readonly ObjectStatus[]
  close(): Promise<void>
}

const DEFAULT_XDS: SocketAddress = { host: '127.0.0.1', port: 15010 }
const DEFAULT_ADMIN: SocketAddress = { host: '127.0.0.1', port: 15014 }
const DEFAULT_GRACE_MS = 5_000
/** Proxies come back with backoff; a restart must not outrun the slowest. */
const RESTORED_GRACE_MS = 30_000
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/
/** Cluster in Istio's sense of what is declared in files. */
const CLUSTER = 'weft'

/** Resolves when both ports listen and the first synchronisation is done. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const clock = options.clock ?? realClock
  const log = options.log ?? silentLogger
  const { stateDir } = options
  checkPlaintext(options)
  await using stack = new AsyncDisposableStack()

  const store =
    stateDir === undefined
      ? undefined
      : new RegistrationStore(join(stateDir, 'registrations.json'), clock, log)
  const selfRegistration = stack.use(
    new registries['self-registration'](
      {
        domain: DEFAULT_MESH.domain,
        graceMs: options.registrationGraceMs ?? DEFAULT_GRACE_MS,
        restoredGraceMs: RESTORED_GRACE_MS,
        restored: store?.read() ?? [],
      },
      clock,
    ),
  )
  const staticRegistry = stack.use(
    new registries.static({ domain: DEFAULT_MESH.domain, cluster: CLUSTER }),
  )
  const lastGood =
    stateDir === undefined ? undefined : new LastGoodTexts(join(stateDir, 'last-good'))
  const files = options.sources.map((path) =>
    stack.use(new sources.file({ path }, { clock, log, ...(lastGood && { lastGood }) })),
  )

  const states = new Map<string, SourceState>()
  let declared: RegistryState = EMPTY_REGISTRY
  let registered: RegistryState = EMPTY_REGISTRY
  let isReady = false
  let isClosing = false
  const sourceState = () => mergeStates([...states.values()])

  const guardOf = (take: (state: RegistryState) => void) => {
    const onRelease = (state: RegistryState) => {
      take(state)
      push.request('endpoints')
    }
    return stack.use(new ShrinkGuard({ clock, log, onRelease }))
  }
  const declaredGuard = guardOf((state) => {
    declared = state
  })
  const registeredGuard = guardOf((state) => {
    registered = state
  })
  const metrics = new PilotMetrics({
    held: () => declaredGuard.held.length + registeredGuard.held.length,
    connections: () => ads.stats().connections,
    services: () => push.snapshot?.services.size ?? 0,
    virtualServices: () => push.snapshot?.virtualServices.length ?? 0,
    quarantined: () => ads.quarantined().length,
  })
  const changes = new Changes(metrics)
  let publishedAtMs = 0
  let awaited = new Set<number>()

  const globalLimits = await openGlobalLimits(options.rateLimitRedis, {
    clock,
    log,
    metrics: metrics.registry,
  })
  stack.defer(() => globalLimits.close())
  const ads = await createAdsServer(
    {},
    {
      clock,
      log,
      viewOf: viewKeyOf,
      isReady: () => isReady,
      admit: (peer) => identities.admit(peer),
      refuse: (node, peer) => identities.refuse(node, peer),
      onCertificate: (question, peer) => identities.ca.answer(question, peer),
      identities: {
        issueJwt: (question, peer) => identities.workloads.issueJwt(question, peer),
        watchBundles: (send, peer) => identities.workloads.watchBundles(send, peer),
      },
      onNode(node, connection) {
        selfRegistration.connected(registrationOf(node), connection)
        views.connect(node, connection, push.snapshot)
      },
      onGone(node, connection) {
        views.disconnect(connection)
        // Going down ourselves says nothing about the workloads.
        if (!isClosing) selfRegistration.disconnected(node.id, connection)
      },
      onRateLimit(question) {
        globalLimits.limits.configure(push.snapshot?.rateLimits ?? [])
        return globalLimits.limits.decide(question, clock.monotonicMs())
      },
      onRateLimitReturn(question) {
        void globalLimits.limits.giveBack(question, clock.monotonicMs())
      },
      onHealth: (node, isHealthy) => selfRegistration.reported(node.id, isHealthy),
      onAnswer(answer) {
        metrics.answered(answer)
        if (answer.names.includes(TRUST_BUNDLE)) identities.ca.acknowledged()
        if (answer.error === undefined && awaited.delete(answer.connectionId)) {
          metrics.converged(clock.monotonicMs() - publishedAtMs)
        }
      },
    },
  )
  stack.defer(() => ads.close())
  const views: Views = new Views(ads, { log })
  const push: Push = new Push({
    clock,
    log,
    views,
    build: (previous) =>
      buildSnapshot(
        {
          documents: sourceState().documents,
          registries: [declared, registered],
          unresolved: 'hold',
          cluster: CLUSTER,
          tlsFiles: LOCAL_TLS_FILES,
          ...(identities.ca.bundlePem === undefined
            ? {}
            : { trustBundlePem: identities.ca.bundlePem }),
          federated: identities.federated(),
        },
        previous,
      ),
    onPushed(_snapshot, durationMs) {
      metrics.pushed(durationMs)
      publishedAtMs = clock.monotonicMs()
      awaited = new Set(ads.connectionIds())
    },
  })
  stack.defer(() => push.close())
  let admin: AdminServer | undefined
  const identities: OpenedMeshCa = await openMeshCa(
    { ...(stateDir !== undefined && { folder: join(stateDir, 'ca') }), ...options.ca },
    {
      clock,
      log,
      random: options.random ?? Math.random,
      metrics: metrics.registry,
      connections: () => ads.connections(),
      resourcesOf: (connection) => views.resourcesOf(connection),
      onBundle: () => push.request('config'),
      onServerIdentity(tls) {
        ads.setTls(tls)
        admin?.setTls(tls)
      },
    },
  )
  stack.defer(() => identities.close())
  const operators = await Operators.open(
    {
      ...(stateDir !== undefined && { folder: join(stateDir, 'operators') }),
      ...(options.ca?.bootstrapFolder !== undefined && {
        tokenFolder: options.ca.bootstrapFolder,
      }),
      ...options.operators,
    },
    { clock, log, ca: () => identities.ca },
  )
  stack.defer(() => operators.close())

  stack.defer(watchClockJumps(clock, log))
  const stop = new AbortController()
  stack.defer(() => {
    isClosing = true
    stop.abort()
    store?.flush(selfRegistration.registrations())
  })
  const follow = <T>(watched: AsyncIterable<T>, take: (value: T) => void) => {
    void (async () => {
      for await (const value of watched) take(value)
    })()
  }
  for (const source of files) {
    follow(source.watch(stop.signal), (state) => {
      states.set(source.name, state)
      changes.take(source.name, state)
      staticRegistry.set(sourceState().documents)
      push.request('config')
    })
  }
  follow(staticRegistry.watch(stop.signal), (state) => {
    declared = declaredGuard.take(state)
  })
  follow(selfRegistration.watch(stop.signal), (state) => {
    registered = registeredGuard.take(state)
    store?.schedule(() => selfRegistration.registrations())
    push.request('endpoints')
  })

  const rescan = async () => {
    await Promise.all(files.map((source) => source.rescan()))
    await settle()
    await push.now()
  }
  const proxies = (): readonly ConnectedProxy[] =>
    ads.connections().flatMap((connection) => {
      const view = views.proxyOf(connection.id)
      if (view === undefined) return []
      const { id } = connection
      return [{ connection, view, set: views.resourcesOf(id), problem: views.problemOf(id) }]
    })
  const analysis = () => analyze(sourceState().documents, { domain: DEFAULT_MESH.domain })
  const conditionTimes = new ConditionTimes(clock)
  const statuses = () => {
    const { snapshot } = push
    if (snapshot === undefined) return []
    const deliveries = proxies().flatMap(({ connection, view, set }) =>
      set === undefined ? [] : [{ connection, name: view.workload, set }],
    )
    const found = objectStatuses({
      state: sourceState(),
      snapshot,
      applied: rollUp(deliveries, snapshot.generation),
      analysis: analysis(),
    })
    return conditionTimes.stamp(found)
  }
  const plane: PlaneView = {
    metrics: metrics.registry,
    isReady: () => isReady,
    snapshot: () => push.snapshot,
    sourceState,
    statuses,
    problems: () => [...sourceState().problems, ...analysis()],
    proxies,
    registrations: () => selfRegistration.registrations(),
    registries: () =>
      [staticRegistry, selfRegistration].map((one) => ({ name: one.name, health: one.health() })),
    folder: options.sources.find(isFolder),
    identities,
    operators,
    rescan,
  }

  await rescan()
  const trustDomain = push.snapshot?.mesh.trustDomain ?? DEFAULT_MESH.trustDomain
  await identities.ca.open(trustDomain, sourceState().documents)
  await push.now()
  isReady = true
  const opened = await openAdminServer(adminListeners(options, identities.ca.serverTls), plane, {
    log,
    clock,
  })
  admin = opened
  stack.defer(() => opened.close())
  const xds = await ads.listen(options.xds ?? DEFAULT_XDS)
  if (options.xdsSocketPath !== undefined) await ads.listen({ path: options.xdsSocketPath })
  const at = 'port' in xds ? xds : (options.xds ?? DEFAULT_XDS)
  const secure = await listenSecurely(ads, options.xdsTls, identities.ca.serverTls, log)
  const bundleEndpoint = await identities.openBundleEndpoint()
  await identities.announce(at)
  await operators.announce(opened.address)
  const owned = stack.move()
  return {
    xds: at,
    xdsTls: secure,
    bundleEndpoint,
    admin: opened.address,
    adminTls: opened.tlsAddress,
    ownerToken: operators.ownerToken,
    xdsMethods: () => ads.methods(),
    consoleLink: () => `/console/login?code=${operators.sessions.link(OWNER).code}`,
    snapshot() {
      const { snapshot } = push
      if (snapshot === undefined) throw new Error('Cannot happen: started without a snapshot')
      return snapshot
    },
    statuses,
    close: () => owned.disposeAsync(),
  }
}

/** @throws {Error} When TLS is wanted and there is no certificate to show. */
function adminListeners(options: ControlPlaneOptions, identity: XdsTls | undefined) {
  const { admin = DEFAULT_ADMIN, insecureAdmin, adminTls, adminSocketPath, adminHosts } = options
  if (adminTls !== undefined && identity === undefined) {
    throw new Error('Cannot serve the admin API over TLS: there is no CA to identify it')
  }
  return {
    address: admin,
    isInsecure: insecureAdmin === true,
    hosts: adminHosts ?? [],
    ...(adminTls !== undefined && identity !== undefined
      ? { tls: { address: adminTls, identity } }
      : {}),
    ...(adminSocketPath === undefined ? {} : { socketPath: adminSocketPath }),
  }
}

/** Without an identity of its own the control plane still serves this machine. */
async function listenSecurely(
  ads: AdsServer,
  address: SocketAddress | undefined,
  tls: XdsTls | undefined,
  log: Logger,
): Promise<SocketAddress | undefined> {
  if (address === undefined) return undefined
  if (tls === undefined) {
    log.error('xDS is not served over TLS: there is no CA to identify this control plane')
    return undefined
  }
  const bound = await ads.listen(address, tls)
  return 'port' in bound ? bound : address
}

/** Whoever reaches a plaintext port may be anybody. */
function checkPlaintext({ xds = DEFAULT_XDS, insecureXds }: ControlPlaneOptions): void {
  if (insecureXds === true || LOOPBACK.test(xds.host)) return
  throw new Error(
    `Cannot serve xDS without TLS on ${xds.host}: it must be loopback; serve others over TLS (xdsTls)`,
  )
}

function registrationOf(node: XdsNode) {
  return {
    id: node.id,
    workload: workloadOf(node),
    offers: offersOf(node),
    ...(hasIdentity(node) ? { hasIdentity: true } : {}),
    ...(node.metadata.WEFT_PATH === 'broker' ? { path: 'broker' as const } : {}),
  }
}

function mergeStates(states: readonly SourceState[]): SourceState {
  const [only] = states
  if (states.length === 0) return EMPTY_SOURCE
  if (only !== undefined && states.length === 1) return only
  return {
    documents: states.flatMap(({ documents }) => documents),
    problems: states.flatMap(({ problems }) => problems),
    refused: states.flatMap(({ refused }) => refused),
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

/** Lets every follower that has a newer value waiting take it. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

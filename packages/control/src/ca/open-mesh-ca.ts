/** The parts of the CA put together for a control plane: what `control-plane.ts` has to know of it. */
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock, Logger } from '@weft/base'
import { renderSpiffeBundle, writePem } from '@weft/identity'
import {
  type ResourceSet,
  renderSpiffeId,
  type SocketAddress,
  serviceAccountId,
  type TrustDomainRoots,
} from '@weft/model'
import type { MetricsRegistry } from '@weft/telemetry'
import {
  type ConnectionStatus,
  TYPE_URLS,
  type XdsNode,
  type XdsPeer,
  type XdsTls,
} from '@weft/xds'
import { TRUST_BUNDLE } from '../snapshot/secrets.ts'
import { workloadOf } from '../translate/node-view.ts'
import { BOOTSTRAP_TOKEN_PREFIX } from './attestation.ts'
import { CaMetrics } from './ca-metrics.ts'
import { type BundleEndpoint, openBundleEndpoint } from './federation/bundle-endpoint.ts'
import { ForeignBundles, type ForeignStatus } from './federation/foreign-bundles.ts'
import type { ConnectedHolder } from './holders.ts'
import { JoinTokens } from './join-tokens.ts'
import { MeshCa } from './mesh-ca.ts'
import type { CaOptions } from './options.ts'
import { writePrivately } from './private-files.ts'
import { TokenIssuers } from './token-issuers.ts'
import { WorkloadIdentities } from './workload-identities.ts'

export interface OpenMeshCaDeps {
  readonly clock: Clock
  readonly log: Logger
  readonly random: () => number
  readonly metrics: MetricsRegistry
  connections(): readonly ConnectionStatus[]
  /** What a connection was last given. */
  resourcesOf(connection: number): ResourceSet | undefined
  onBundle(): void
  onServerIdentity(tls: XdsTls): void
}

export interface OpenedMeshCa {
  readonly ca: MeshCa
  readonly tokens: JoinTokens
  /** JWT-SVIDs and bundles, for whoever has an identity. */
  readonly workloads: WorkloadIdentities
  /** Other trust domains that are believed, with their roots. */
  federated(): readonly TrustDomainRoots[]
  federation(): readonly ForeignStatus[]
  /** `undefined` when none is wanted, or none can be. */
  openBundleEndpoint(): Promise<SocketAddress | undefined>
  /** Why a peer of the TLS port may not call anything but the certificate service. */
  admit(peer: XdsPeer): string | undefined
  /** R74: why a peer may not be the node that it says it is. */
  refuse(node: XdsNode, peer: XdsPeer): string | undefined
  /** Lets this machine's user join at the address. */
  announce(xds: SocketAddress): Promise<void>
  close(): Promise<void>
}

const TOKEN_BYTES = 32

/** Nothing is asked of the CA before `ca.open`. */
export async function openMeshCa(options: CaOptions, deps: OpenMeshCaDeps): Promise<OpenedMeshCa> {
  const { clock, log } = deps
  const { folder, bootstrapFolder, issuers = [] } = options
  const tokens = await JoinTokens.open({
    path: folder === undefined ? undefined : join(folder, 'join-tokens.json'),
    wallMs: () => clock.nowMs(),
    log,
  })
  const tokenIssuers = await TokenIssuers.open(issuers, { clock, log })
  const bootstrapToken =
    bootstrapFolder === undefined
      ? undefined
      : `${BOOTSTRAP_TOKEN_PREFIX}${randomBytes(TOKEN_BYTES).toString('base64url')}`
  const ca: MeshCa = new MeshCa(options, {
    ...deps,
    tokens,
    issuers: tokenIssuers,
    bootstrapToken,
    metrics: () => metrics,
    connected: () => [
      ...deps.connections().map((one) => holderOf(one, ca, deps.resourcesOf)),
      ...workloads.holders(),
    ],
    onSpiffeBundle: () => workloads.changed(),
    onServerIdentity(tls) {
      deps.onServerIdentity(tls)
      if (options.bundleEndpoint?.tls === undefined) endpoint?.setTls(tls)
    },
  })
  let endpoint: BundleEndpoint | undefined
  const foreign = await ForeignBundles.open(options.federation ?? [], folder, {
    ...deps,
    onChange() {
      workloads.changed()
      deps.onBundle()
    },
  })
  /** Nobody else speaks for the mesh's own trust domain. */
  const others = () => foreign.bundles().filter((one) => one.trustDomain !== ca.trustDomain)
  const documents = () =>
    new Map(others().map((one) => [one.trustDomain, renderSpiffeBundle(one)] as const))
  const workloads: WorkloadIdentities = new WorkloadIdentities(ca, {
    clock,
    log,
    foreign: documents,
  })
  const metrics = new CaMetrics(deps.metrics, {
    rootNotAfterMs: () => ca.rootNotAfterMs,
    signerNotAfterMs: () => ca.signerNotAfterMs,
    waiting: () => ca.waiting,
    bundleVersion: () => ca.bundleVersion,
    nowMs: () => clock.nowMs(),
  })
  let announced: string | undefined
  return {
    ca,
    tokens,
    workloads,
    federated: () =>
      others().map(({ trustDomain, roots }) => ({
        trustDomain,
        caPem: roots.map((der) => writePem('CERTIFICATE', der)).join(''),
      })),
    federation: () => foreign.status(),
    async openBundleEndpoint() {
      const { address, tls = ca.serverTls } = options.bundleEndpoint ?? {}
      if (address === undefined) return undefined
      if (tls === undefined) {
        log.error('the bundle endpoint is not served: there is no CA to identify it')
        return undefined
      }
      endpoint = await openBundleEndpoint(address, tls, () => {
        const bundle = ca.spiffeBundle
        if (bundle === undefined) return undefined
        const { refreshHintMs = 0 } = bundle
        return { text: renderSpiffeBundle(bundle), refreshHintMs }
      })
      return endpoint.address
    },
    admit(peer) {
      if (!peer.isTls) return undefined
      const identified = ca.identify(peer)
      return identified.ok ? undefined : identified.problem
    },
    refuse(node, peer) {
      if (!peer.isTls) return undefined
      const identified = ca.identify(peer)
      if (!identified.ok) return identified.problem
      return nodeProblem(node, renderSpiffeId(identified.id), ca.trustDomain)
    },
    async announce({ host, port }) {
      if (bootstrapFolder === undefined || bootstrapToken === undefined) return
      announced = join(bootstrapFolder, `${host}-${port}.token`)
      await writePrivately(announced, `${bootstrapToken}\n`)
    },
    async close() {
      ca.close()
      foreign.close()
      await endpoint?.close()
      tokenIssuers.close()
      if (announced !== undefined) await rm(announced, { force: true })
    },
  }
}

function holderOf(
  { id, node, types }: ConnectionStatus,
  { trustDomain, bundlePem }: MeshCa,
  resourcesOf: OpenMeshCaDeps['resourcesOf'],
): ConnectedHolder {
  const secrets = types.find(({ typeUrl }) => typeUrl === TYPE_URLS.secret)
  const delivery = secrets?.resources.find(({ name }) => name === TRUST_BUNDLE)
  const given = resourcesOf(id)?.secret.get(TRUST_BUNDLE)
  // What it acknowledged may be the bundle before, when the next is not on its way yet.
  const isNewest = given?.kind === 'validation' && given.caPem === bundlePem
  return {
    nodeId: node.id,
    identity: identityOf(node, trustDomain),
    takesBundle: delivery !== undefined,
    hasBundle: delivery?.state === 'acked' && isNewest,
  }
}

/** What a node says that it is. */
function identityOf(node: XdsNode, trustDomain: string): string {
  const { namespace, serviceAccount } = workloadOf(node)
  return renderSpiffeId(serviceAccountId(trustDomain, namespace, serviceAccount))
}

function nodeProblem(node: XdsNode, proved: string, trustDomain: string): string | undefined {
  const said = identityOf(node, trustDomain)
  if (said !== proved) return `you are ${proved}, not ${said}`
  // The id has a namespace too, which the metadata must not contradict.
  const [, , named = ''] = node.id.split('~')
  const dot = named.lastIndexOf('.')
  const namespace = dot > 0 ? named.slice(dot + 1) : undefined
  return namespace === undefined || namespace === workloadOf(node).namespace
    ? undefined
    : `your node id is of namespace ${namespace}, your metadata is not`
}

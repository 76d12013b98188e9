/**
 * Sidecars in the broker's process: one for each kind of workload that dialled in, with a
 * certificate of that very workload, so that others see it and not the broker. Only who has proved
 * to the broker that it is the workload gets there, and the key never leaves the process.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LogScopes } from '@weft/base'
import type { OpenSidecar, SidecarOrder } from '@weft/broker'
import { parseSpiffeId, type SocketAddress, serviceAccountOf } from '@weft/model'
import type { Transport } from '@weft/net'
import { type Agent, type IdentityOptions, type SingleProxy, startProxy } from '@weft/proxy'
import type { Terminal } from '../terminal/terminal.ts'
import { instanceOf } from './sidecar-options.ts'

export interface BrokerSidecarsOptions {
  readonly connect: SocketAddress | { readonly path: string }
  /** `connect` is TLS. */
  readonly isTls: boolean
  /** Address at which the mesh reaches the broker. */
  readonly host: string
  /** How the broker itself comes by a certificate; absent: nobody gets one. */
  readonly identity: IdentityOptions | undefined
  readonly keyHosts: readonly string[]
  readonly version: string
}

export interface BrokerSidecarsDeps extends Pick<Terminal, 'clock' | 'random' | 'env'> {
  readonly logs: LogScopes
  readonly transport: Transport
  /** The broker's own identity. */
  readonly agent: Agent | undefined
}

export interface BrokerSidecars extends AsyncDisposable {
  readonly open: OpenSidecar
  /** Of sockets that only this user reaches. */
  readonly folder: string
}

export async function openBrokerSidecars(
  options: BrokerSidecarsOptions,
  deps: BrokerSidecarsDeps,
): Promise<BrokerSidecars> {
  const folder = await mkdtemp(join(deps.env.XDG_RUNTIME_DIR ?? tmpdir(), 'weft-broker-'))
  await chmod(folder, 0o700)
  return {
    folder,
    open: (order) => openSidecar(order, options, deps),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

async function openSidecar(
  order: SidecarOrder,
  options: BrokerSidecarsOptions,
  { clock, random, logs, transport, agent }: BrokerSidecarsDeps,
): ReturnType<OpenSidecar> {
  const { workload, services } = order
  const { connect, isTls, host, keyHosts, version } = options
  const identity = identityFor(order.principal, options.identity, agent)
  const proxy: SingleProxy = await startProxy(
    {
      role: 'sidecar',
      workload,
      instance: instanceOf(workload, random),
      address: host,
      source: { kind: 'ads', connect, isTls },
      outbound: { host: order.outbound, port: 0 },
      offers: services.map(({ name, port }) => ({
        ...{ service: name, port, protocol: 'http', address: host, listenPort: 0 },
        // By the port, as rules name it; the way there is the socket.
        ...{ appAddress: order.bridge, appPort: port },
      })),
      appHealth: 'told',
      metadata: { WEFT_PATH: 'broker' },
      ...(identity === undefined ? {} : { identity }),
      ...{ keyHosts, version },
    },
    {
      ...{ clock, random, logs, transport },
      onConfiguration: (set) => order.onConfiguration(set),
    },
  )
  return {
    addresses: proxy.offers.map(({ address, listenPort }) => ({ host: address, port: listenPort })),
    reportHealth: (healthy) =>
      proxy.tellAppProblem(healthy ? undefined : 'nobody of this workload is connected'),
    ask: (cluster, question, done) => proxy.askCluster(cluster, question, done),
    close: () => proxy.close(),
  }
}

/** Undefined: the workload has proved nothing, or is none of this mesh; others see nobody then. */
function identityFor(
  principal: string | undefined,
  own: IdentityOptions | undefined,
  agent: Agent | undefined,
): IdentityOptions | undefined {
  const parsed = principal === undefined ? undefined : parseSpiffeId(principal)
  if (principal === undefined || parsed?.ok !== true || own === undefined) return undefined
  const mesh = parseSpiffeId(agent?.held()?.svid.id ?? '')
  if (!mesh.ok || parsed.id.trustDomain !== mesh.id.trustDomain) return undefined
  if (serviceAccountOf(parsed.id) === undefined) return undefined
  const { connect, renewConnect, tls, proof } = own
  if (proof.kind === 'bootstrapFile') return { connect, proof }
  const target = tls === undefined ? renewConnect : connect
  if (target === undefined) return undefined
  return {
    connect: target,
    proof: {
      kind: 'delegated',
      id: principal,
      by: () => agent?.held()?.svid,
    },
  }
}

/** An RSocket broker in a process of its own, until a signal drains it. */
import { readFile } from 'node:fs/promises'
import type { LogScopes } from '@weft/base'
import {
  type Authentication,
  Broker,
  type BrokerAdmin,
  type BrokerDeps,
  type BrokerLimits,
  type Cluster,
  DEFAULT_LIMITS,
  drainCluster,
  type FilterSet,
  type MeshBroker,
  openAuthentication,
  openBrokerAdmin,
  openMeshBroker,
  Upstream,
} from '@weft/broker'
import { renderAddress } from '@weft/model'
import { createNodeTransport, pickTransport, type Transport } from '@weft/net'
import { type Agent, startAgent } from '@weft/proxy'
import { CommandError, UsageError } from '../command.ts'
import { programVersion } from '../program-version.ts'
import { columns } from '../terminal/columns.ts'
import { firstSignal, type Terminal } from '../terminal/terminal.ts'
import { joinCluster, openCluster } from './broker-cluster.ts'
import { openFilters } from './broker-filters.ts'
import type { BrokerListener, BrokerRunOptions } from './broker-options.ts'
import { type BrokerSidecars, openBrokerSidecars } from './broker-sidecars.ts'
import { BrokerTls } from './broker-tls.ts'
import { reportReady } from './report-ready.ts'
import { instanceOf } from './sidecar-options.ts'

/** What the broker's own certificate may take before it goes on without. */
const IDENTITY_MS = 5_000
/** A workload that is gone may come back: its place in the mesh is kept for so long. */
const GRACE_MS = 30_000

type BrokerState = 'PRE_INITIALIZING' | 'LIVE' | 'DRAINING'

interface Opened {
  readonly broker: Broker
  readonly authentication: Authentication
  readonly agent: Agent | undefined
  readonly mesh: (MeshBroker & { readonly sidecars: BrokerSidecars }) | undefined
  readonly tls: BrokerTls
  readonly filters: FilterSet | undefined
  readonly cluster: Cluster | undefined
  readonly upstream: Upstream | undefined
}

export async function runBroker(
  options: BrokerRunOptions,
  { isJson }: { readonly isJson: boolean },
  terminal: Terminal,
  logs: LogScopes,
): Promise<number> {
  const limits = limitsOf(options.limits)
  const stopped = firstSignal(terminal, () => process.exit(130))
  const opened = await open(options, limits, terminal, logs)
  const { broker, tls } = opened
  let state: BrokerState = 'PRE_INITIALIZING'
  let admin: BrokerAdmin | undefined
  try {
    admin = await openAdmin(options, opened, () => state, logs)
    const needsTls = options.cluster !== undefined || options.listeners.some(({ isTls }) => isTls)
    const isWaiting = !tls.isReady && needsTls
    if (isWaiting) {
      logs.logger('broker').warn('TLS waits for a certificate of the control plane')
      if ((await Promise.race([tls.ready, stopped])) !== undefined) return 0
    }
    const addresses = await listen(options.listeners, opened)
    const joined = await join(options, opened, addresses)
    opened.upstream?.open(broker)
    state = 'LIVE'
    const up = {
      ready: true,
      id: options.id,
      control: controlText(options),
      ...addresses,
      ...joined,
      admin: `http://${renderAddress(admin.address)}`,
    }
    terminal.out(isJson ? `${JSON.stringify(up)}\n` : renderUp(up))
    const ports = { ...portsOf(addresses), admin: admin.address.port }
    reportReady({ kind: 'broker', ports })
    await stopped
    state = 'DRAINING'
    opened.mesh?.feeds.leave()
    const { drainMs } = options
    if (opened.cluster === undefined) await broker.drain({ deadlineMs: drainMs })
    else await drainCluster(opened.cluster.member, broker, drainMs)
  } finally {
    await admin?.close()
    await close(opened)
  }
  return 0
}

async function open(
  options: BrokerRunOptions,
  limits: Partial<BrokerLimits>,
  terminal: Terminal,
  logs: LogScopes,
): Promise<Opened> {
  const { clock, random } = terminal
  const log = logs.logger('broker')
  const agent = await openAgent(options, terminal, logs)
  const secretFile = options.control?.secretFile
  const authentication = await openAuthentication(options.authentication, {
    clock,
    log,
    ...(agent === undefined ? {} : { mesh: agent }),
    ...(secretFile === undefined ? {} : { ownerSecret: () => readSecret(secretFile) }),
  }).catch((cause: unknown) => failed(cause))
  const tls = new BrokerTls(options.certificate, { clock, log, agent, authentication })
  await tls.open().catch((cause: unknown) => failed(cause))
  const { authenticator } = authentication
  const transport = await transportOf(options.transport)
  const filters = await openFilters(options.filters, { clock, logs })
  const { id, control } = options
  const parts = { clock, log, random, transport, tls, authentication }
  const cluster = options.cluster && openCluster(id, options.cluster, parts)
  const upstream = options.upstream && new Upstream({ id, ...options.upstream }, parts)
  const deps: BrokerDeps = {
    ...(cluster === undefined ? {} : { cluster: cluster.member }),
    ...(upstream === undefined ? {} : { fallback: (leg, call) => upstream.fallback(leg, call) }),
    ...(filters === undefined ? {} : { filters }),
    transport,
    ...{ clock, log, random },
    authenticate: (leg, hello) => authenticator.authenticate(leg, hello),
    onMetadataPush: (leg, metadata) => void authenticator.onMetadataPush(leg, metadata),
  }
  const common = { authentication, agent, tls, filters, cluster, upstream }
  if (control === undefined) {
    const broker = new Broker({ id, limits }, deps)
    cluster?.member.serve(broker)
    return { ...common, broker, mesh: undefined }
  }
  const { connect, isTls, bridgeHost } = control
  const version = await programVersion()
  const { identity, authentication: proofs } = options
  const sidecars = await openBrokerSidecars(
    { connect, isTls, host: bridgeHost, identity, keyHosts: proofs.keyHosts, version },
    { clock, random, env: terminal.env, logs, transport, agent },
  )
  const mesh = openMeshBroker(
    {
      id,
      limits,
      connect,
      cluster: options.workload.cluster,
      graceMs: GRACE_MS,
      bridgeHost,
      keyHosts: proofs.keyHosts,
      version,
      sidecars,
    },
    deps,
  )
  cluster?.member.serve(mesh.broker)
  return { ...common, broker: mesh.broker, mesh: { ...mesh, sidecars } }
}

async function openAdmin(
  { id, admin: address, adminToken, scrapeToken, workload }: BrokerRunOptions,
  { broker, mesh, filters, cluster, upstream }: Opened,
  state: () => BrokerState,
  logs: LogScopes,
): Promise<BrokerAdmin> {
  const { namespace, serviceAccount } = workload
  const version = `weft/${await programVersion()}/node-${process.versions.node}`
  const token = {
    ...(adminToken === undefined ? {} : { token: adminToken }),
    ...(scrapeToken === undefined ? {} : { scrapeToken }),
  }
  const info = { version, id, namespace, service_account: serviceAccount }
  const registry = mesh === undefined ? {} : { registry: mesh.registry }
  try {
    const log = logs.logger('admin')
    const more = {
      ...registry,
      ...(filters === undefined ? {} : { filters }),
      ...(cluster === undefined ? {} : { cluster: cluster.member }),
      ...(upstream === undefined ? {} : { upstream }),
    }
    return await openBrokerAdmin({ address, info, ...token }, { broker, state, log, ...more })
  } catch (cause) {
    return failed(cause, `Cannot open the admin port on ${renderAddress(address)}`)
  }
}

/** The broker's certificate, and with it the keys by which tokens of the mesh are verified. */
async function openAgent(
  { identity, workload }: BrokerRunOptions,
  { clock, random }: Terminal,
  logs: LogScopes,
): Promise<Agent | undefined> {
  if (identity === undefined) return undefined
  const { namespace } = workload
  const instance = instanceOf(workload, random)
  const nodeId = `broker~127.0.0.1~${instance}.${namespace}~${namespace}.svc.cluster.local`
  const agent = await startAgent({ identity, workload, nodeId }, { clock, random, logs })
  await new Promise<void>((resolve) => {
    const cancel = clock.after(IDENTITY_MS, resolve)
    void agent.ready.then(() => {
      cancel()
      resolve()
    })
  })
  return agent
}

async function readSecret(path: string): Promise<string | undefined> {
  return (await readFile(path, 'utf8').catch(() => '')).trim()
}

async function transportOf(choice: 'handle' | 'net' | undefined): Promise<Transport> {
  return choice === 'net' ? createNodeTransport() : (await pickTransport()).transport
}

async function listen(
  listeners: readonly BrokerListener[],
  { broker, tls }: Opened,
): Promise<Readonly<Record<string, string>>> {
  const bound: Record<string, string> = {}
  for (const { name, kind, isTls, address } of listeners) {
    try {
      const context = isTls ? { tls: () => tls.context } : {}
      bound[name] = renderAddress(await broker.listen({ kind, address, ...context }))
    } catch (cause) {
      failed(cause, `Cannot listen on ${renderAddress(address)}`)
    }
  }
  return bound
}

/** Other brokers can dial from now on. */
async function join(
  { cluster: options, listeners }: BrokerRunOptions,
  { cluster, broker }: Opened,
  addresses: Readonly<Record<string, string>>,
): Promise<{ readonly cluster?: string }> {
  if (cluster === undefined || options === undefined) return {}
  try {
    return { cluster: await joinCluster(cluster, options, broker, { listeners, addresses }) }
  } catch (cause) {
    return failed(cause, `Cannot listen on ${renderAddress(options.listen)}`)
  }
}

async function close(opened: Opened): Promise<void> {
  const { broker, mesh, authentication, agent, tls, filters, cluster } = opened
  broker.close()
  opened.upstream?.close()
  await cluster?.member.close()
  filters?.close()
  await mesh?.close()
  await mesh?.sidecars[Symbol.asyncDispose]()
  authentication.close()
  tls.close()
  await agent?.close()
}

function failed(cause: unknown, what = 'Cannot start the broker'): never {
  const why = cause instanceof Error ? cause.message : String(cause)
  throw new CommandError(`${what}: ${why}`, 1, { cause })
}

function controlText({ control }: BrokerRunOptions): string {
  if (control === undefined) return 'none'
  const { connect } = control
  return 'path' in connect ? `unix:${connect.path}` : renderAddress(connect)
}

function portsOf(addresses: Readonly<Record<string, string>>): Readonly<Record<string, number>> {
  const port = (address: string) => Number(address.slice(address.lastIndexOf(':') + 1))
  return Object.fromEntries(Object.entries(addresses).map(([name, at]) => [name, port(at)]))
}

function renderUp({
  ready: _ready,
  id,
  control,
  ...addresses
}: {
  readonly ready: boolean
  readonly id: string
  readonly control: string
}): string {
  const where = Object.entries(addresses).map(([name, address]) => `${name} ${address}`)
  const policy = control === 'none' ? 'by name, no control plane' : `policy of ${control}`
  return `Broker ${id} is up: ${where.join(', ')}; ${policy}.\n`
}

// Limits

/** `max-streams` → `maxStreams`. */
const LIMIT_NAMES: ReadonlyMap<string, keyof BrokerLimits> = new Map(
  (Object.keys(DEFAULT_LIMITS) as (keyof BrokerLimits)[]).map((key) => [
    key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
    key,
  ]),
)

function limitsOf(pairs: Readonly<Record<string, string>>): Partial<BrokerLimits> {
  const limits: Record<string, number> = {}
  for (const [name, text] of Object.entries(pairs)) {
    const key = LIMIT_NAMES.get(name)
    if (key === undefined) {
      throw new UsageError(`--limit knows ${[...LIMIT_NAMES.keys()].join(', ')}, got '${name}'`)
    }
    if (!/^[1-9]\d{0,9}$/.test(text)) {
      throw new UsageError(`--limit ${name} must be a number from 1, got '${text}'`)
    }
    limits[key] = Number(text)
  }
  if ((limits.maxFrameBytes ?? 64) < 64 || (limits.maxFrameBytes ?? 0) > 0xff_ff_ff) {
    throw new UsageError('--limit max-frame-bytes must be 64 to 16777215')
  }
  return limits
}

export function limitsHelp(isJson: boolean): string {
  const rows = [...LIMIT_NAMES].map(([name, key]) => [name, String(DEFAULT_LIMITS[key])])
  if (isJson) return `${JSON.stringify(Object.fromEntries(rows))}\n`
  return columns([['LIMIT', 'DEFAULT'], ...rows])
}

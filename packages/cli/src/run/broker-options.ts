/** From a command line to what a broker is told, and what must not be told to one. */
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { parseDurationMs } from '@weft/base'
import type { AuthenticationOptions } from '@weft/broker'
import { type SocketAddress, trustDomainProblem, type Workload } from '@weft/model'
import type { IdentityOptions } from '@weft/proxy'
import type { Arguments } from '../arguments.ts'
import { UsageError } from '../command.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { DEFAULT_XDS, isLoopback, isTlsAddress, parseAddress, parseConnect } from './addresses.ts'
import { bootstrapFile } from './bootstrap.ts'
import { type ClusterRunOptions, clusterOptionsOf } from './broker-cluster-options.ts'
import { upstreamOptionsOf } from './broker-upstream-options.ts'
import { readTokenFile } from './proxy-token.ts'
import { identityOptionsOf } from './sidecar-options.ts'

export interface BrokerListener {
  /** As the ready line calls it. */
  readonly name: 'tcp' | 'ws' | 'tls' | 'wss'
  readonly kind: 'tcp' | 'websocket'
  readonly isTls: boolean
  readonly address: SocketAddress
}

export interface BrokerRunOptions {
  readonly id: string
  readonly listeners: readonly BrokerListener[]
  /** Absent: calls go by name alone. */
  readonly control?: {
    readonly connect: SocketAddress | { readonly path: string }
    /** Mutual TLS; each workload shows its own certificate there. */
    readonly isTls: boolean
    readonly bridgeHost: string
    /** Holds what the control plane left for programs of the same user; loopback only. */
    readonly secretFile?: string
  }
  readonly workload: Workload
  /** Absent: there is nobody who would give a certificate. */
  readonly identity?: IdentityOptions
  /** Paths; absent: the certificate is the mesh's. */
  readonly certificate?: { readonly chainFile: string; readonly keyFile: string }
  readonly authentication: AuthenticationOptions
  readonly admin: SocketAddress
  readonly adminToken?: string
  readonly scrapeToken?: string
  /** Files and folders of filters. */
  readonly filters: readonly string[]
  /** `NAME=N`, not looked at yet. */
  readonly limits: Readonly<Record<string, string>>
  readonly drainMs: number
  /** Absent: the broker is alone. */
  readonly cluster?: ClusterRunOptions
  readonly upstream?: ReturnType<typeof upstreamOptionsOf>
  readonly transport?: 'handle' | 'net'
}

const DEFAULTS = { listen: '127.0.0.1:7878', 'listen-ws': '127.0.0.1:7879' } as const
const DEFAULT_ADMIN = '127.0.0.1:7880'
const DEFAULT_AUDIENCE = 'weft-broker'
const DEFAULT_DRAIN = '25s'
const CLOCK_SKEW_MS = 5_000
const NO_CLUSTER_IDENTITY =
  'Brokers of a cluster show each other certificates: a control plane that gives one (--join-token), or --tls-cert FILE --tls-key FILE with a SPIFFE ID and --client-ca FILE'

/** @throws {UsageError} When an option is wrong, or leaves the broker open to everybody. */
export async function brokerOptionsOf(
  args: Arguments,
  terminal: Terminal,
  defaultId: string,
): Promise<BrokerRunOptions> {
  const workload = brokerWorkload(args)
  const listeners = listenersOf(args)
  const control = controlOf(args, terminal)
  const identity = control === undefined ? undefined : identityOptionsOf(args, workload, terminal)
  const certificate = certificateOf(args, terminal)
  const authentication = await authenticationOf(args, terminal)
  checkOpenness(args, listeners, authentication, identity !== undefined)
  if (listeners.some(({ isTls }) => isTls) && certificate === undefined && identity === undefined) {
    throw new UsageError(
      'TLS needs a certificate: --tls-cert FILE --tls-key FILE, or a control plane that gives one',
    )
  }
  const cluster = clusterOptionsOf(args, terminal)
  const hasCertificate = identity !== undefined || certificate !== undefined
  if (cluster !== undefined && !hasCertificate) throw new UsageError(NO_CLUSTER_IDENTITY)
  const transport = args.value('transport') as 'handle' | 'net' | undefined
  const tokenFile = args.value('admin-token-file')
  const scrapeFile = args.value('scrape-token-file')
  return {
    id: args.value('id') ?? defaultId,
    listeners,
    workload,
    ...(control === undefined ? {} : { control }),
    ...(identity === undefined ? {} : { identity }),
    ...(certificate === undefined ? {} : { certificate }),
    authentication,
    admin: parseAddress('admin', args.value('admin') ?? DEFAULT_ADMIN),
    ...(tokenFile === undefined ? {} : { adminToken: await readTokenFile(tokenFile, terminal) }),
    ...(scrapeFile === undefined ? {} : { scrapeToken: await readTokenFile(scrapeFile, terminal) }),
    filters: args.list('filter').map((path) => resolve(terminal.cwd, path)),
    limits: { ...resumeLimit(args), ...args.pairs('limit') },
    drainMs: drainMsOf(args),
    ...(cluster === undefined ? {} : { cluster }),
    upstream: upstreamOptionsOf(args, terminal),
    ...(transport === undefined ? {} : { transport }),
  }
}

function brokerWorkload(args: Arguments): Workload {
  return {
    name: 'broker',
    namespace: args.value('namespace') ?? 'default',
    serviceAccount: args.value('service-account') ?? 'broker',
    labels: { app: 'broker' },
    locality: { region: '', zone: '', subZone: '' },
    cluster: 'weft',
  }
}

function listenersOf(args: Arguments): readonly BrokerListener[] {
  const one = (
    option: 'listen' | 'listen-ws' | 'listen-tls' | 'listen-wss',
    name: BrokerListener['name'],
  ): readonly BrokerListener[] => {
    const text = args.value(option) ?? (option in DEFAULTS ? DEFAULTS[option as 'listen'] : 'off')
    if (text === 'off') return []
    const kind = name === 'tcp' || name === 'tls' ? 'tcp' : 'websocket'
    const isTls = name === 'tls' || name === 'wss'
    return [{ name, kind, isTls, address: parseAddress(option, text) }]
  }
  return [
    ...one('listen', 'tcp'),
    ...one('listen-ws', 'ws'),
    ...one('listen-tls', 'tls'),
    ...one('listen-wss', 'wss'),
  ]
}

function controlOf(args: Arguments, terminal: Terminal): BrokerRunOptions['control'] {
  const named = args.value('control')
  if (args.flag('standalone')) {
    if (named === undefined) return undefined
    throw new UsageError('--standalone and --control exclude each other')
  }
  const text = named ?? DEFAULT_XDS
  const connect = parseConnect('control', text)
  const bridgeHost = args.value('bridge-host') ?? '127.0.0.1'
  if (isIP(bridgeHost) === 0) {
    throw new UsageError(`--bridge-host must be an IP address, got '${bridgeHost}'`)
  }
  const isTls = isTlsAddress(text)
  if (isTls || 'path' in connect || !isLoopback(connect)) return { connect, isTls, bridgeHost }
  return { connect, isTls, bridgeHost, secretFile: bootstrapFile(terminal, connect) }
}

function certificateOf(args: Arguments, { cwd }: Terminal): BrokerRunOptions['certificate'] {
  const chain = args.value('tls-cert')
  const key = args.value('tls-key')
  if ((chain === undefined) !== (key === undefined)) {
    throw new UsageError('--tls-cert and --tls-key belong together')
  }
  if (chain === undefined || key === undefined) return undefined
  return { chainFile: resolve(cwd, chain), keyFile: resolve(cwd, key) }
}

async function authenticationOf(
  args: Arguments,
  { cwd }: Terminal,
): Promise<AuthenticationOptions> {
  const audiences = args.list('audience')
  const trustDomain = args.value('trust-domain')
  const problem = trustDomain === undefined ? undefined : trustDomainProblem(trustDomain)
  if (problem !== undefined) throw new UsageError(`--trust-domain: ${problem}`)
  const revoked = args.value('revoked')
  const clientCa = args.value('client-ca')
  return {
    allowsAnonymous: args.flag('allow-anonymous'),
    issuers: args.list('jwks').map((text) => issuerOf(text, cwd)),
    audiences: audiences.length === 0 ? [DEFAULT_AUDIENCE] : audiences,
    ...(trustDomain === undefined ? {} : { trustDomain }),
    namespace: args.value('token-namespace') ?? 'default',
    clockSkewMs: CLOCK_SKEW_MS,
    takesEndless: args.flag('endless-tokens'),
    keyHosts: args.list('key-host'),
    ...(revoked === undefined ? {} : { revokedFile: resolve(cwd, revoked) }),
    ...(clientCa === undefined ? {} : { clientCaPem: await readNamed('client-ca', clientCa, cwd) }),
  }
}

async function readNamed(option: string, file: string, cwd: string): Promise<string> {
  try {
    return await readFile(resolve(cwd, file), 'utf8')
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError(`--${option}: cannot read ${file}: ${why}`, 'unreadable', { cause })
  }
}

const URL_OR_PATH = /^(?<issuer>.+?)=(?<from>https?:\/\/.+|[^=]+)$/

function issuerOf(text: string, cwd: string): AuthenticationOptions['issuers'][number] {
  const { issuer, from } = URL_OR_PATH.exec(text)?.groups ?? {}
  if (issuer === undefined || from === undefined) {
    throw new UsageError(`--jwks must look like ISSUER=FILE or ISSUER=URL, got '${text}'`)
  }
  return { issuer, from: /^https?:\/\//i.test(from) ? from : resolve(cwd, from) }
}

/** `--resume 60s` is `--limit resume-window-ms=60000`. */
function resumeLimit(args: Arguments): Readonly<Record<string, string>> {
  const text = args.value('resume')
  if (text === undefined) return {}
  const ms = parseDurationMs(text)
  if (ms === undefined || ms < 1) {
    throw new UsageError(`--resume must be a duration such as 60s, got '${text}'`)
  }
  return { 'resume-window-ms': String(Math.ceil(ms)) }
}

function drainMsOf(args: Arguments): number {
  const text = args.value('drain') ?? DEFAULT_DRAIN
  const ms = parseDurationMs(text)
  if (ms === undefined || ms < 0) {
    throw new UsageError(`--drain must be a duration such as 25s, got '${text}'`)
  }
  return ms
}

/** A broker that lets in everybody, or has everybody's tokens read, does not start. */
function checkOpenness(
  args: Arguments,
  listeners: readonly BrokerListener[],
  { allowsAnonymous, issuers, clientCaPem }: AuthenticationOptions,
  hasIdentity: boolean,
): void {
  const open = listeners.find(({ address }) => !isLoopback(address))
  if (allowsAnonymous && open !== undefined) {
    throw new UsageError(
      `--allow-anonymous is for loopback: everybody who reaches ${open.address.host} could call everything`,
    )
  }
  const plain = listeners.find(({ address, isTls }) => !isTls && !isLoopback(address))
  if (plain !== undefined && !args.flag('insecure-plaintext')) {
    throw new UsageError(
      `Others reach ${plain.address.host}, and in plaintext tokens can be read on the way: use --listen-tls or --listen-wss, or say --insecure-plaintext`,
    )
  }
  if (!hasIdentity && !allowsAnonymous && issuers.length === 0 && clientCaPem === undefined) {
    throw new UsageError(
      'Without a control plane that knows the broker nobody could prove who it is: --join-token TOKEN, --jwks ISSUER=FILE|URL, --client-ca FILE over TLS, or --allow-anonymous on loopback',
    )
  }
}

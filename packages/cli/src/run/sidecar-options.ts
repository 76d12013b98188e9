/** From a command line to what a proxy is told: shared by `weft run` and `weft proxy`. */
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { contentHash, parseDurationMs } from '@weft/base'
import {
  type Locality,
  NO_LOCALITY,
  type OfferedPort,
  type SocketAddress,
  type Workload,
} from '@weft/model'
import type { ConfigSource, IdentityOptions, IdentityProof, TransportChoice } from '@weft/proxy'
import type { Arguments } from '../arguments.ts'
import { type Option, UsageError } from '../command.ts'
import type { Terminal } from '../terminal/terminal.ts'
import {
  DEFAULT_XDS,
  isLoopback,
  isTlsAddress,
  LOOPBACK,
  parseAddress,
  parseConnect,
  XDS_PORT,
  XDS_TLS_PORT,
} from './addresses.ts'
import { bootstrapFile } from './bootstrap.ts'
import { LOG_LEVEL_OPTION } from './process-logs.ts'

const TRANSPORTS = ['handle', 'net'] as const satisfies readonly TransportChoice[]

export const WORKLOAD_OPTIONS = {
  service: {
    kind: 'value',
    short: 's',
    placeholder: 'NAME',
    describe: 'service that the workload offers',
  },
  port: {
    kind: 'value',
    short: 'p',
    placeholder: 'PORT',
    describe: 'port of the service, as callers write it',
  },
  'app-port': {
    kind: 'value',
    placeholder: 'PORT',
    describe: 'port on which the application listens (--port; 0 for a free one, told in PORT)',
  },
  protocol: {
    kind: 'value',
    placeholder: 'NAME',
    describe: 'what the port speaks: http, http2, grpc, tcp … (http)',
  },
  version: { kind: 'value', placeholder: 'NAME', describe: 'label version, for subsets' },
  name: { kind: 'value', placeholder: 'NAME', describe: 'workload name (SERVICE-VERSION)' },
  namespace: {
    kind: 'value',
    short: 'n',
    placeholder: 'NAME',
    describe: 'namespace of the workload (default)',
  },
  'service-account': {
    kind: 'value',
    placeholder: 'NAME',
    describe: 'service account of the workload (default)',
  },
  label: { kind: 'list', short: 'l', placeholder: 'KEY=VALUE', describe: 'label of the workload' },
  locality: {
    kind: 'value',
    placeholder: 'REGION/ZONE/SUBZONE',
    describe: 'where the workload runs',
  },
  'key-host': {
    kind: 'list',
    placeholder: 'HOST',
    describe: 'host whose key set for tokens may be on loopback or plain http, for development',
  },
  address: {
    kind: 'value',
    placeholder: 'IP',
    describe: 'address by which other workloads reach this one (127.0.0.1)',
  },
  control: {
    kind: 'value',
    placeholder: 'HOST:PORT',
    describe: `xDS address of the control plane; tls:HOST:PORT and port 15012 are mutual TLS, unix:PATH a socket (${DEFAULT_XDS})`,
  },
  resources: {
    kind: 'value',
    placeholder: 'PATH',
    describe: 'take xDS resources from this file or folder, not from a control plane',
  },
  state: {
    kind: 'value',
    placeholder: 'DIR',
    describe: 'where the last good configuration is kept (below ~/.local/state/weft)',
  },
  'join-token': {
    kind: 'value',
    placeholder: 'TOKEN',
    describe: 'proves to the mesh who this is, see `weft join-token` (WEFT_JOIN_TOKEN)',
  },
  'ca-roots': {
    kind: 'value',
    placeholder: 'FILE',
    describe: 'roots of the control plane over TLS, PEM; a join token has a hash of them with it',
  },
  'token-file': {
    kind: 'value',
    placeholder: 'FILE',
    describe: 'token of a Kubernetes service account or an OIDC issuer, read anew when needed',
  },
  'access-log': {
    kind: 'value',
    placeholder: 'FILE',
    describe: 'write one JSON object a request, e.g. to /dev/stdout',
  },
  transport: {
    kind: 'value',
    placeholder: 'NAME',
    describe: 'handle (fast) or net (public Node API); chosen by a self-test at start',
    choices: TRANSPORTS,
  },
  'log-level': LOG_LEVEL_OPTION,
} as const satisfies Record<string, Option>

export function workloadOf(args: Arguments, fallbackName: string): Workload {
  const service = args.value('service')
  const version = args.value('version')
  const name = args.value('name') ?? [service ?? fallbackName, version].filter(Boolean).join('-')
  for (const [option, value] of Object.entries({ name, namespace: args.value('namespace') })) {
    if (value !== undefined) checkName(option, value)
  }
  return {
    name,
    namespace: args.value('namespace') ?? 'default',
    serviceAccount: args.value('service-account') ?? 'default',
    labels: {
      app: service ?? name,
      ...(version === undefined ? {} : { version }),
      ...args.pairs('label'),
    },
    locality: parseLocality(args.value('locality')),
    cluster: 'weft',
  }
}

/** As a pod is called: replicas of one workload on one machine must not replace each other. */
export function instanceOf(workload: Workload, random: () => number): string {
  const suffix = Math.floor(random() * 36 ** 5)
  return `${workload.name}-${suffix.toString(36).padStart(5, '0')}`
}

/** What the workload offers, or nothing when `--service` is absent (a job that only calls). */
export function offersOf(
  args: Arguments,
  appPort: number | undefined,
  inbound?: string,
): readonly OfferedPort[] {
  const service = args.value('service')
  const port = args.port('port')
  if (service === undefined && port === undefined) {
    if (inbound === undefined) return []
    throw new UsageError('--inbound needs a service: --service reviews --port 9080')
  }
  if (service === undefined || port === undefined || port === 0) {
    throw new UsageError('--service and --port belong together: --service reviews --port 9080')
  }
  checkName('service', service)
  const address = args.value('address') ?? LOOPBACK
  const listens =
    inbound === undefined ? { host: address, port: 0 } : parseAddress('inbound', inbound, address)
  if (args.value('address') !== undefined && listens.host !== address) {
    throw new UsageError(`--inbound and --address name different hosts: ${inbound}, ${address}`)
  }
  return [
    {
      service,
      port,
      protocol: args.value('protocol') ?? 'http',
      address: listens.host,
      listenPort: listens.port,
      appAddress: LOOPBACK,
      appPort: appPort ?? port,
    },
  ]
}

/** The same workload finds its last good configuration again; another control plane's is another. */
export function configSourceOf(
  args: Arguments,
  workload: Workload,
  terminal: Terminal,
): ConfigSource {
  const resources = args.value('resources')
  if (resources !== undefined) return { kind: 'files', path: resources }
  const control = args.value('control') ?? DEFAULT_XDS
  const stateDir = args.value('state') ?? defaultStateDir(terminal)
  return {
    kind: 'ads',
    connect: parseConnect('control', control),
    isTls: isTlsAddress(control),
    lastGoodDir: join(stateDir, stateKey(workload, control)),
  }
}

/** Where a workload's own things are kept. */
export function stateDirOf(args: Arguments, workload: Workload, terminal: Terminal): string {
  const control = args.value('control') ?? DEFAULT_XDS
  return join(args.value('state') ?? defaultStateDir(terminal), stateKey(workload, control))
}

/** @throws {UsageError} When it is none. */
export function durationMsOf(args: Arguments, option: string): number | undefined {
  const text = args.value(option)
  if (text === undefined) return undefined
  const ms = parseDurationMs(text)
  if (ms !== undefined && ms > 0) return ms
  throw new UsageError(`--${option} must be a duration such as 10m or 24h, got '${text}'`)
}

function stateKey({ namespace, name }: Workload, control: string): string {
  return `${namespace}.${name}-${contentHash(control)}`
}

/**
 * How the proxy comes by a certificate: by what the user gave, else by the secret of a control
 * plane that the same user runs on this machine. `undefined`: there is nothing to prove it with.
 */
export function identityOptionsOf(
  args: Arguments,
  workload: Workload,
  terminal: Terminal,
): IdentityOptions | undefined {
  if (args.value('resources') !== undefined) return undefined
  const control = args.value('control') ?? DEFAULT_XDS
  const connect = parseConnect('control', control)
  const dir = join(args.value('state') ?? defaultStateDir(terminal), stateKey(workload, control))
  const isTls = isTlsAddress(control)
  const proof = proofOf(args, connect, isTls, terminal)
  if (isTls && proof === undefined && !existsSync(dir)) {
    throw new UsageError(
      `--control ${control} is TLS: --join-token TOKEN or --token-file FILE must say who this is`,
    )
  }
  if (proof === undefined && !isTls) return undefined
  const roots = args.value('ca-roots')
  return {
    connect,
    // Who was here before has a certificate to show.
    proof: proof ?? { kind: 'none' },
    dir,
    ...(isTls ? { tls: roots === undefined ? {} : { rootsPem: rootsOf(roots) } } : {}),
    ...renewalOf(connect, isTls, proof),
  }
}

/** Where a certificate renews itself; a join token is used up by the first one. */
function renewalOf(
  connect: SocketAddress | { readonly path: string },
  isTls: boolean,
  proof: IdentityProof | undefined,
): Pick<IdentityOptions, 'renewConnect'> {
  if ('path' in connect) return {}
  if (isTls) return { renewConnect: connect }
  if (proof?.kind === 'bootstrapFile') return {}
  // Beside the default port there is the default one for TLS.
  return connect.port === XDS_PORT ? { renewConnect: { ...connect, port: XDS_TLS_PORT } } : {}
}

function rootsOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError(`--ca-roots: cannot read ${file}: ${why}`, 'unreadable', { cause })
  }
}

function proofOf(
  args: Arguments,
  connect: SocketAddress | { readonly path: string },
  isTls: boolean,
  terminal: Terminal,
): IdentityProof | undefined {
  const token = args.value('join-token') ?? terminal.env.WEFT_JOIN_TOKEN
  if (token !== undefined && token !== '') return { kind: 'token', token }
  const file = args.value('token-file')
  if (file !== undefined) return { kind: 'tokenFile', path: file }
  if ('path' in connect || isTls || !isLoopback(connect)) return undefined
  // Also where there is none yet: the control plane may come later.
  return { kind: 'bootstrapFile', path: bootstrapFile(terminal, connect) }
}

export function transportOf(args: Arguments): TransportChoice | undefined {
  return args.value('transport') as TransportChoice | undefined
}

function defaultStateDir(terminal: Terminal): string {
  const base = terminal.env.XDG_STATE_HOME ?? join(homedir(), '.local', 'state')
  return join(base, 'weft', 'proxies')
}

function parseLocality(text: string | undefined): Locality {
  if (text === undefined) return NO_LOCALITY
  const [region = '', zone = '', subZone = '', extra] = text.split('/')
  if (extra !== undefined) {
    throw new UsageError(`--locality must look like region/zone/subzone, got '${text}'`)
  }
  return { region, zone, subZone }
}

/** Names end up in DNS names and node ids (RFC 1123 label). */
export function checkName(option: string, name: string): void {
  if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)) return
  throw new UsageError(
    `--${option} must be lower-case letters, digits and dashes, at most 63, got '${name}'`,
  )
}

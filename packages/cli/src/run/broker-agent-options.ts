/** From a command line to what an agent that dials out to brokers is told. */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import type { HttpAgentOptions } from '@weft/broker'
import type { BrokerTarget, LinkTls } from '@weft/rsocket/link'
import type { Arguments } from '../arguments.ts'
import { type Option, UsageError } from '../command.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { freePort, isLoopback, LOOPBACK, parseAddress } from './addresses.ts'
import { controlTokens } from './control-tokens.ts'
import { WORKLOAD_OPTIONS } from './sidecar-options.ts'

/** Of `sun_path`, without the byte that ends it (unix(7)); macOS has fewer. */
export const MAX_SOCKET_BYTES = 103
const SERVICE_PORT = 80
const MAX_LINKS = 16
const USUAL_LINKS = 2

export const BROKER_AGENT_OPTIONS = {
  broker: {
    kind: 'list',
    short: 'b',
    placeholder: 'ADDRESS',
    describe:
      'dial out to this broker (HOST:PORT, tcps://HOST:PORT, ws://…, wss://…) and those it tells of',
  },
  links: {
    kind: 'value',
    placeholder: 'N',
    describe: 'brokers to be connected to (2, or one to each --broker if they are more)',
  },
  service: {
    kind: 'list',
    short: 's',
    placeholder: 'NAME[:PORT]',
    describe: `service that the application is, as callers write it (port ${SERVICE_PORT})`,
  },
  'app-port': {
    kind: 'value',
    placeholder: 'PORT',
    describe: 'port on which the application listens on loopback (0 for a free one, told in PORT)',
  },
  'app-socket': {
    kind: 'value',
    placeholder: 'PATH',
    describe: 'socket file on which the application listens, told in PORT and WEFT_APP_SOCKET',
  },
  'metrics-path': {
    kind: 'value',
    placeholder: 'PATH',
    describe: 'let Prometheus scrape this path of the application through the brokers (/metrics)',
  },
  'metrics-port': {
    kind: 'value',
    placeholder: 'PORT',
    describe: "port on loopback of the application's metrics (--app-port or --app-socket)",
  },
  protocol: {
    kind: 'value',
    placeholder: 'NAME',
    describe: 'what the application speaks: http (HTTP/1.1), http2 or grpc (in the clear) (http)',
    choices: ['http', 'http2', 'grpc'],
  },
  outbound: {
    kind: 'value',
    placeholder: 'HOST:PORT',
    describe: 'where the HTTP proxy for the application listens, loopback only (127.0.0.1:0)',
  },
  'no-outbound': { kind: 'flag', describe: 'open no HTTP proxy: the application calls nobody' },
  version: WORKLOAD_OPTIONS.version,
  label: WORKLOAD_OPTIONS.label,
  locality: WORKLOAD_OPTIONS.locality,
  'broker-token': {
    kind: 'value',
    placeholder: 'TOKEN',
    describe: 'proves to the broker who this is (WEFT_BROKER_TOKEN; or --token-file)',
  },
  'identity-dir': {
    kind: 'value',
    placeholder: 'DIR',
    describe: 'show the certificate in this folder to brokers over TLS, as --cert-dir writes it',
  },
  'broker-ca': {
    kind: 'value',
    placeholder: 'FILE',
    describe: 'roots of brokers over tcps://, PEM (those of the system)',
  },
  'broker-name': {
    kind: 'value',
    placeholder: 'NAME',
    describe: 'name in the certificate of brokers over tcps:// (the host that is dialled)',
  },
} as const satisfies Record<string, Option>

export interface BrokerAgentRun {
  readonly agent: HttpAgentOptions
  /** Empty: it runs until a signal. */
  readonly command: readonly string[]
  /** Facts for the command beside the proxy's address. */
  readonly facts: Readonly<Record<string, string | undefined>>
  readonly isJson: boolean
}

/** @throws {UsageError} What is missing, contradicts itself, or cannot be read. */
export async function brokerAgentOf(args: Arguments, terminal: Terminal): Promise<BrokerAgentRun> {
  const [first, ...more] = args.list('broker').map((text) => targetOf(text, args, terminal))
  if (first === undefined) throw new UsageError('--broker ADDRESS is missing')
  for (const target of [first, ...more]) {
    if (target.kind === 'tcp' && target.tls !== undefined) checkReadable(target.tls)
  }
  const services = args.list('service').map(serviceOf)
  const app = services[0]?.name ?? nameFrom(args.command[0])
  const version = args.value('version')
  const namespace = args.value('namespace') ?? 'default'
  const name = args.value('name') ?? [app, version].filter(Boolean).join('-')
  checkName('name', name)
  checkName('namespace', namespace)
  const listens = await applicationOf(args, services.length > 0, terminal)
  const outbound = outboundOf(args)
  const metrics = metricsOf(args, listens)
  const token = tokenOf(args, terminal)
  const socketPath = listens !== undefined && 'path' in listens ? listens.path : undefined
  const port = listens !== undefined && 'port' in listens ? String(listens.port) : socketPath
  return {
    agent: {
      brokers: [first, ...more],
      targetOf: (uri) => toldTarget(uri, args, terminal),
      links: linksOf(args, more.length + 1),
      instance: randomUUID(),
      app: name,
      namespace,
      labels: {
        app,
        ...(version === undefined ? {} : { version }),
        ...args.pairs('label'),
      },
      zone: args.value('locality')?.split('/')[1] ?? '',
      services,
      ...(listens === undefined ? {} : { application: listens }),
      applicationProtocol: (args.value('protocol') ?? 'http') === 'http' ? 'http1' : 'h2c',
      ...(metrics === undefined ? {} : { metrics }),
      ...(outbound === undefined ? {} : { outbound }),
      ...(token === undefined ? {} : { token }),
    },
    command: args.command,
    facts: {
      PORT: port,
      WEFT_APP_SOCKET: socketPath,
      WEFT_WORKLOAD: name,
      WEFT_NAMESPACE: namespace,
      WEFT_SERVICE: services[0]?.name,
      WEFT_VERSION: version,
    },
    isJson: args.flag('json'),
  }
}

const METRICS_PATH = /^\/[\x21-\x7e]{0,1023}$/

/** Either option lets the application be scraped. */
function metricsOf(
  args: Arguments,
  application: HttpAgentOptions['application'],
): HttpAgentOptions['metrics'] {
  const port = args.value('metrics-port')
  const path = args.value('metrics-path') ?? (port === undefined ? undefined : '/metrics')
  if (path === undefined) return undefined
  if (!METRICS_PATH.test(path)) {
    throw new UsageError(`--metrics-path must begin with / and have no blanks, got '${path}'`)
  }
  if (port !== undefined) {
    const isPort = /^[1-9]\d{0,4}$/.test(port) && Number(port) <= 65_535
    if (!isPort)
      throw new UsageError(`--metrics-port must be a port from 1 to 65535, got '${port}'`)
    return { address: { host: LOOPBACK, port: Number(port) }, path }
  }
  if (application !== undefined) return { address: application, path }
  throw new UsageError('--metrics-path needs --metrics-port, --app-port or --app-socket')
}

/** Options of the one form of `weft agent` that mean nothing in the other. */
export function refuseOptions(args: Arguments, names: readonly string[], why: string): void {
  for (const name of names) {
    if (args.flag(name)) throw new UsageError(`--${name} ${why}`)
  }
}

function targetOf(text: string, args: Arguments, terminal: Terminal): BrokerTarget {
  const scheme = /^([a-z]+):\/\/(.*)$/.exec(text)
  const [, kind = 'tcp', rest = text] = scheme ?? []
  if (kind === 'ws' || kind === 'wss') {
    if (!URL.canParse(text)) throw new UsageError(`--broker must be a URL, got '${text}'`)
    if (kind === 'wss') {
      refuseOptions(
        args,
        ['broker-ca', 'broker-name', 'identity-dir'],
        'is for tcps:// brokers; for wss:// set NODE_EXTRA_CA_CERTS',
      )
    }
    return { kind: 'websocket', url: text }
  }
  if (kind !== 'tcp' && kind !== 'tcps') {
    throw new UsageError(
      `--broker must look like broker:7878, tcps://broker:7879 or wss://broker/, got '${text}'`,
    )
  }
  const address = parseAddress('broker', rest)
  if (kind === 'tcps') return { kind: 'tcp', address, tls: tlsOf(address.host, args, terminal) }
  refuseOptions(
    args,
    ['broker-ca', 'broker-name', 'identity-dir'],
    `needs TLS: write --broker tcps://${rest}`,
  )
  return { kind: 'tcp', address }
}

/** Read for each connection anew: certificates are renewed. */
function tlsOf(host: string, args: Arguments, terminal: Terminal): () => LinkTls {
  const serverName = args.value('broker-name') ?? host
  const inCwd = (path: string | undefined) =>
    path === undefined ? undefined : resolve(terminal.cwd, path)
  const identityDir = inCwd(args.value('identity-dir'))
  const caFile =
    inCwd(args.value('broker-ca')) ??
    (identityDir === undefined ? undefined : join(identityDir, 'root-cert.pem'))
  return (): LinkTls => ({
    serverName,
    ...(caFile === undefined ? {} : { caPem: readFileSync(caFile, 'utf8') }),
    ...(identityDir === undefined
      ? {}
      : {
          certificate: {
            chainPem: readFileSync(join(identityDir, 'cert-chain.pem'), 'utf8'),
            keyPem: readFileSync(join(identityDir, 'key.pem'), 'utf8'),
          },
        }),
  })
}

/** A broker that another one tells of; undefined: not as it is told, or not with what is shown here. */
function toldTarget(uri: string, args: Arguments, terminal: Terminal): BrokerTarget | undefined {
  try {
    return targetOf(uri.replace(/^tls:/, 'tcps:').replace(/^(tcps?:.*)\/$/, '$1'), args, terminal)
  } catch (error) {
    if (error instanceof UsageError) return undefined
    throw error
  }
}

/** What cannot be read now is a wrong command line; later it is a reason to try again. */
function checkReadable<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError(`cannot show who this is: ${why}`, 'unreadable', { cause })
  }
}

function tokenOf(args: Arguments, terminal: Terminal): HttpAgentOptions['token'] {
  const file = args.value('token-file')
  const given = args.value('broker-token')
  const account = args.value('service-account')
  if (account === undefined && args.value('control') !== undefined) {
    throw new UsageError('--control needs --service-account NAME: whose token is asked for there')
  }
  if (account !== undefined) {
    if (file !== undefined || given !== undefined) {
      throw new UsageError('--service-account asks the control plane for the token: give no other')
    }
    return controlTokens(args, account, terminal)
  }
  if (file !== undefined && given !== undefined) {
    throw new UsageError('--broker-token and --token-file are two answers to one question')
  }
  if (file !== undefined) {
    const read = () => readFileSync(resolve(terminal.cwd, file), 'utf8').trim()
    checkReadable(read)
    return read
  }
  const token = given ?? terminal.env.WEFT_BROKER_TOKEN
  return token === undefined || token === '' ? undefined : () => token
}

function serviceOf(text: string): { readonly name: string; readonly port: number } {
  const [, name = '', digits] = /^([^:]*)(?::(\d{1,5}))?$/.exec(text) ?? []
  const port = digits === undefined ? SERVICE_PORT : Number(digits)
  if (name === '' || port === 0 || port > 65_535) {
    throw new UsageError(`--service must look like reviews or reviews:9080, got '${text}'`)
  }
  checkName('service', name)
  return { name, port }
}

async function applicationOf(args: Arguments, isCalled: boolean, terminal: Terminal) {
  const port = args.port('app-port')
  const socket = args.value('app-socket')
  if (port !== undefined && socket !== undefined) {
    throw new UsageError('--app-port and --app-socket are two places for one application')
  }
  if (port === undefined && socket === undefined) {
    if (!isCalled) return undefined
    throw new UsageError('--service needs the application: --app-port PORT or --app-socket PATH')
  }
  if (!isCalled) throw new UsageError('--app-port and --app-socket need --service NAME')
  if (socket === undefined) {
    if (port === 0 && args.command.length === 0) {
      throw new UsageError('--app-port 0 needs a command after --, which is told the port')
    }
    return { host: LOOPBACK, port: port === 0 ? await freePort(LOOPBACK) : (port ?? 0) }
  }
  const path = resolve(terminal.cwd, socket)
  if (Buffer.byteLength(path) <= MAX_SOCKET_BYTES) return { path }
  throw new UsageError(
    `--app-socket must have at most ${MAX_SOCKET_BYTES} bytes, as the system wants it, got ${path}`,
  )
}

function outboundOf(args: Arguments) {
  const text = args.value('outbound')
  if (args.flag('no-outbound')) {
    if (text === undefined) return undefined
    throw new UsageError('--outbound and --no-outbound contradict each other')
  }
  const address = parseAddress('outbound', text ?? '0')
  if (isLoopback(address)) return address
  throw new UsageError(
    `--outbound must be on loopback: whoever reaches it calls as this workload, got '${text}'`,
  )
}

function linksOf(args: Arguments, brokers: number): number {
  const text = args.value('links')
  if (text === undefined) return Math.max(USUAL_LINKS, brokers)
  const links = Number(text)
  if (/^\d+$/.test(text) && links >= 1 && links <= MAX_LINKS) return links
  throw new UsageError(`--links must be a number from 1 to ${MAX_LINKS}, got '${text}'`)
}

/** A workload name from a command, e.g. `/usr/bin/Curl` → `curl`. */
function nameFrom(file: string | undefined): string {
  const name = basename(file ?? 'agent')
    .toLowerCase()
    .replace(/\.[a-z]+$/, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 63)
  return name === '' ? 'agent' : name
}

/** Names end up in DNS names (RFC 1123 label). */
function checkName(option: string, name: string): void {
  if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)) return
  throw new UsageError(
    `--${option} must be lower-case letters, digits and dashes, at most 63, got '${name}'`,
  )
}

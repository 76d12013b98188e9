/** From a command line to a broker's part of a cluster. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { ClusterSettings } from '@weft/broker'
import { parseSpiffeId, type SocketAddress } from '@weft/model'
import type { Arguments } from '../arguments.ts'
import { type Option, UsageError } from '../command.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { isLoopback, parseAddress } from './addresses.ts'

export const CLUSTER_OPTIONS = {
  etcd: {
    kind: 'list',
    placeholder: 'URL',
    describe: 'etcd members, by which brokers know each other: host:2379 or https://host:2379',
  },
  'etcd-ca': { kind: 'value', placeholder: 'FILE', describe: 'roots of etcd, PEM (the system)' },
  'etcd-cert': { kind: 'value', placeholder: 'FILE', describe: 'certificate for etcd, PEM' },
  'etcd-key': { kind: 'value', placeholder: 'FILE', describe: 'its key, PEM' },
  'etcd-user': { kind: 'value', placeholder: 'NAME', describe: 'user of etcd' },
  'etcd-password-file': {
    kind: 'value',
    placeholder: 'FILE',
    describe: 'holds its password (WEFT_ETCD_PASSWORD)',
  },
  'etcd-prefix': {
    kind: 'value',
    placeholder: 'KEY',
    describe: 'keys of this cluster begin with it (/weft/rsocket/)',
  },
  'cluster-listen': {
    kind: 'value',
    placeholder: 'HOST:PORT',
    describe: 'where other brokers dial, mutual TLS (127.0.0.1:0)',
  },
  'cluster-address': {
    kind: 'value',
    placeholder: 'HOST:PORT',
    describe: 'as others reach it (that of --cluster-listen)',
  },
  'cluster-peer': {
    kind: 'list',
    placeholder: 'SPIFFE-ID',
    describe: "who may be a broker of this cluster (this broker's own identity)",
  },
  advertise: {
    kind: 'list',
    placeholder: 'URI',
    describe: 'as applications dial this broker: tcps://b1.example:7878 (its listeners)',
  },
  zone: {
    kind: 'value',
    placeholder: 'NAME',
    describe: 'where the broker is; links spread over zones',
  },
} as const satisfies Record<string, Option>

export interface ClusterRunOptions {
  readonly settings: Omit<ClusterSettings, 'id'>
  readonly listen: SocketAddress
  /** Absent: where it listens. */
  readonly address?: SocketAddress
  /** Absent: where the broker listens. */
  readonly external?: readonly string[]
}

const DEFAULT_PREFIX = '/weft/rsocket/'
const DEFAULT_LISTEN = '127.0.0.1:0'
const ETCD_PORT = 2379
const SCHEMES = ['tcp:', 'tcps:', 'ws:', 'wss:']

/** Undefined: the broker is alone. @throws {UsageError} What is missing or contradicts itself. */
export function clusterOptionsOf(
  args: Arguments,
  terminal: Terminal,
): ClusterRunOptions | undefined {
  const urls = args.list('etcd').map(etcdUrl)
  if (urls.length === 0) {
    const orphan = Object.keys(CLUSTER_OPTIONS).find((name) => args.flag(name))
    if (orphan === undefined) return undefined
    throw new UsageError(`--${orphan} is for a cluster of brokers: name its etcd with --etcd URL`)
  }
  const listen = parseAddress('cluster-listen', args.value('cluster-listen') ?? DEFAULT_LISTEN)
  const named = args.value('cluster-address')
  const address = named === undefined ? undefined : parseAddress('cluster-address', named)
  if (address === undefined && isWildcard(listen.host)) {
    throw new UsageError(
      `--cluster-listen ${listen.host} is every address: say with --cluster-address HOST:PORT which one other brokers dial`,
    )
  }
  const external = args.list('advertise').map(advertised)
  return {
    settings: {
      prefix: prefixOf(args),
      zone: args.value('zone') ?? '',
      etcd: { urls, ...filesOf(args, terminal, urls), ...userOf(args, terminal, urls) },
      peers: args.list('cluster-peer').map(peerOf),
    },
    listen,
    ...(address === undefined ? {} : { address }),
    ...(external.length === 0 ? {} : { external }),
  }
}

function etcdUrl(text: string): string {
  const url = /^https?:\/\//.test(text) ? text : `http://${text}`
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const isBare = parsed !== undefined && parsed.pathname === '/' && parsed.search === ''
  if (parsed === undefined || !isBare || parsed.hostname === '' || text.includes(',')) {
    throw new UsageError(
      `--etcd must look like 10.0.0.1:2379 or https://etcd.example:2379, once for each member, got '${text}'`,
    )
  }
  if (parsed.username !== '') throw new UsageError('--etcd has no user in it: --etcd-user NAME')
  // URLs leave the port of their scheme out, which is none of etcd's.
  const hasPort = /:\d+\/?$/.test(url)
  return `${parsed.protocol}//${parsed.hostname}:${hasPort ? parsed.port || (parsed.protocol === 'https:' ? 443 : 80) : ETCD_PORT}`
}

function filesOf(args: Arguments, { cwd }: Terminal, urls: readonly string[]) {
  const caFile = args.value('etcd-ca')
  const certFile = args.value('etcd-cert')
  const keyFile = args.value('etcd-key')
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new UsageError('--etcd-cert and --etcd-key belong together')
  }
  const isTls = urls.every((url) => url.startsWith('https:'))
  const named = Object.entries({ caFile, certFile, keyFile }).flatMap(([name, file]) =>
    file === undefined ? [] : [[name, resolve(cwd, file)] as const],
  )
  if (named.length > 0 && !isTls) {
    throw new UsageError('--etcd-ca, --etcd-cert and --etcd-key need --etcd https://…')
  }
  for (const [, file] of named) readText('etcd-ca, --etcd-cert, --etcd-key', file)
  return Object.fromEntries(named)
}

function userOf(args: Arguments, { cwd, env }: Terminal, urls: readonly string[]) {
  const name = args.value('etcd-user')
  const file = args.value('etcd-password-file')
  if (name === undefined) {
    if (file === undefined) return {}
    throw new UsageError('--etcd-password-file needs --etcd-user NAME')
  }
  const password =
    file === undefined
      ? env.WEFT_ETCD_PASSWORD
      : readText('etcd-password-file', resolve(cwd, file)).trim()
  if (password === undefined || password === '') {
    throw new UsageError('--etcd-user needs a password: --etcd-password-file or WEFT_ETCD_PASSWORD')
  }
  const open = urls.find((url) => url.startsWith('http:') && !isLoopback(hostOf(url)))
  if (open !== undefined) {
    throw new UsageError(`the password could be read on the way to ${open}: use https`)
  }
  return { user: { name, password } }
}

function hostOf(url: string): SocketAddress {
  const { hostname, port } = new URL(url)
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) }
}

function readText(option: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError(`--${option}: cannot read ${file}: ${why}`, 'unreadable', { cause })
  }
}

function prefixOf(args: Arguments): string {
  const text = args.value('etcd-prefix') ?? DEFAULT_PREFIX
  if (!/^\/[\w./-]*$/.test(text)) {
    throw new UsageError(`--etcd-prefix must look like /weft/rsocket/, got '${text}'`)
  }
  return text.endsWith('/') ? text : `${text}/`
}

function peerOf(text: string): string {
  const parsed = parseSpiffeId(text)
  if (!parsed.ok) {
    throw new UsageError(
      `--cluster-peer must look like spiffe://cluster.local/ns/default/sa/broker, got '${text}'`,
    )
  }
  return text
}

function advertised(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !SCHEMES.includes(url.protocol) || url.hostname === '') {
    throw new UsageError(
      `--advertise must look like tcps://b1.example:7878 or wss://b1.example/, got '${text}'`,
    )
  }
  return text
}

export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}

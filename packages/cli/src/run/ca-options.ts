/** Options of `weft control` about identities → what the control plane takes. */
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { parseDurationMs } from '@weft/base'
import type { ControlPlaneOptions } from '@weft/control'
import type { Arguments } from '../arguments.ts'
import { type Option, UsageError } from '../command.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { parseAddress } from './addresses.ts'
import { bootstrapFolder } from './bootstrap.ts'
import { brokersOf, delegatesOf, UPSTREAM_CA_OPTIONS, upstreamCaOf } from './upstream-ca-options.ts'

const DEFAULT_XDS_TLS = '127.0.0.1:15012'
/** What nobody gets a shorter certificate than, unless an option says so. */
const MIN_LEAF_MS = 60_000

export const CA_OPTIONS = {
  'xds-tls': {
    kind: 'value',
    placeholder: 'HOST:PORT',
    describe: `where proxies of other machines connect (${DEFAULT_XDS_TLS} beside the default --xds)`,
  },
  'insecure-xds': {
    kind: 'flag',
    describe: 'take plaintext xDS on an address that others reach',
  },
  'ca-certs': {
    kind: 'value',
    placeholder: 'DIR',
    describe: "your own CA: Istio's files ca-cert.pem, ca-key.pem, root-cert.pem, cert-chain.pem",
  },
  'ca-passphrase-file': {
    kind: 'value',
    placeholder: 'FILE',
    describe: 'seals the CA keys on disk (or WEFT_CA_PASSPHRASE)',
  },
  ...UPSTREAM_CA_OPTIONS,
  'token-issuers': {
    kind: 'value',
    placeholder: 'FILE',
    describe:
      'JSON: who vouches for workloads, [{issuer, audiences, jwksFile|jwksUri, accounts}]; accounts: "kubernetes" or rules',
  },
  federation: {
    kind: 'value',
    placeholder: 'FILE',
    describe:
      'JSON: other trust domains to believe, [{trustDomain, bundleUrl, profile, endpointSpiffeId, bundleFile, caFile}]',
  },
  'bundle-endpoint': {
    kind: 'value',
    placeholder: 'HOST:PORT',
    describe: "where other trust domains find this mesh's bundle (https_spiffe)",
  },
  'bundle-endpoint-tls': {
    kind: 'value',
    placeholder: 'DIR',
    describe: 'certificate for the name of the bundle endpoint: tls.crt, tls.key (https_web)',
  },
  'cert-ttl': {
    kind: 'value',
    placeholder: 'DURATION',
    describe: 'life of certificates when a proxy asks for none (24h)',
  },
  'max-cert-ttl': {
    kind: 'value',
    placeholder: 'DURATION',
    describe:
      'the longest that may be asked for; so long the old root stays after a rotation (24h)',
  },
} as const satisfies Record<string, Option>

/** @throws {UsageError} When an option is wrong or a file cannot be read. */
export async function caOptionsOf(
  args: Arguments,
  terminal: Terminal,
  stateDir: string,
): Promise<Pick<ControlPlaneOptions, 'xdsTls' | 'insecureXds' | 'ca'>> {
  const secure = args.value('xds-tls') ?? (args.value('xds') ? undefined : DEFAULT_XDS_TLS)
  const ownCa = args.value('ca-certs')
  const upstream = upstreamCaOf(args, terminal)
  if (upstream !== undefined && ownCa !== undefined) {
    throw new UsageError('--upstream-ca and --ca-certs both say who signs: give one of them')
  }
  const passphrase = await passphraseOf(args, terminal)
  const issuersFile = args.value('token-issuers')
  const federationFile = args.value('federation')
  const bundleEndpoint = await bundleEndpointOf(args, terminal)
  const leafMs = durationOf(args, 'cert-ttl')
  const maxLeafMs = durationOf(args, 'max-cert-ttl')
  return {
    ...(secure === undefined ? {} : { xdsTls: parseAddress('xds-tls', secure) }),
    insecureXds: args.flag('insecure-xds'),
    ca: {
      folder: join(stateDir, 'ca'),
      bootstrapFolder: bootstrapFolder(terminal),
      policy: {
        ...(leafMs === undefined ? {} : { leafMs }),
        ...(maxLeafMs === undefined ? {} : { maxLeafMs }),
        ...shorterThan(leafMs, maxLeafMs),
      },
      delegates: delegatesOf(args),
      brokers: brokersOf(args),
      ...(upstream === undefined ? {} : { upstream }),
      ...(ownCa === undefined ? {} : { ownCaFolder: resolve(terminal.cwd, ownCa) }),
      ...(passphrase === undefined ? {} : { passphrase }),
      ...(federationFile === undefined
        ? {}
        : { federation: await federationOf(federationFile, terminal) }),
      ...(bundleEndpoint === undefined ? {} : { bundleEndpoint }),
      ...(issuersFile === undefined ? {} : { issuers: await issuersOf(issuersFile, terminal) }),
    },
  }
}

/** Whoever wants certificates of seconds says so: the floor is against proxies that ask for them. */
function shorterThan(...livesMs: readonly (number | undefined)[]): { minLeafMs?: number } {
  const shortest = Math.min(...livesMs.filter((ms) => ms !== undefined))
  return shortest < MIN_LEAF_MS ? { minLeafMs: shortest } : {}
}

/** A file's one line end is not part of it. */
export async function passphraseOf(
  args: Arguments,
  terminal: Terminal,
): Promise<string | undefined> {
  const file = args.value('ca-passphrase-file')
  const text =
    file === undefined
      ? terminal.env.WEFT_CA_PASSPHRASE
      : (await read('ca-passphrase-file', file, terminal)).replace(/\r?\n$/, '')
  if (text === '') throw new UsageError('the CA passphrase must not be empty')
  return text
}

async function federationOf(file: string, terminal: Terminal) {
  const text = await read('federation', file, terminal)
  const { parseFederation } = await import('@weft/control')
  const folder = dirname(resolve(terminal.cwd, file))
  try {
    return parseFederation(text, (name) => readFileSync(resolve(folder, name), 'utf8'))
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new UsageError(`--federation ${file}: ${why}`)
  }
}

async function bundleEndpointOf(args: Arguments, terminal: Terminal) {
  const where = args.value('bundle-endpoint')
  const folder = args.value('bundle-endpoint-tls')
  if (where === undefined) {
    if (folder === undefined) return undefined
    throw new UsageError('--bundle-endpoint-tls needs --bundle-endpoint HOST:PORT')
  }
  const address = parseAddress('bundle-endpoint', where)
  if (folder === undefined) return { address }
  const file = (name: string) => read('bundle-endpoint-tls', join(folder, name), terminal)
  return { address, tls: { chainPem: await file('tls.crt'), keyPem: await file('tls.key') } }
}

async function issuersOf(file: string, terminal: Terminal) {
  const text = await read('token-issuers', file, terminal)
  const { parseTokenIssuers } = await import('@weft/control')
  try {
    return parseTokenIssuers(text)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new UsageError(`--token-issuers ${file}: ${why}`)
  }
}

async function read(option: string, file: string, terminal: Terminal): Promise<string> {
  try {
    return await readFile(resolve(terminal.cwd, file), 'utf8')
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError(`--${option}: cannot read ${file}: ${why}`, 'unreadable', { cause })
  }
}

function durationOf(args: Arguments, option: string): number | undefined {
  const text = args.value(option)
  if (text === undefined) return undefined
  const ms = parseDurationMs(text)
  if (ms !== undefined && ms > 0) return ms
  throw new UsageError(`--${option} must be a duration such as 10m or 24h, got '${text}'`)
}

/** Options of `weft control` about the CA above it, and about control planes below. */
import { resolve } from 'node:path'
import type { ControlPlaneOptions } from '@weft/control'
import type { Arguments } from '../arguments.ts'
import { type Option, UsageError } from '../command.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { parseAddress } from './addresses.ts'

type CaOptions = NonNullable<ControlPlaneOptions['ca']>

export const UPSTREAM_CA_OPTIONS = {
  'upstream-ca': {
    kind: 'value',
    placeholder: 'HOST:PORT',
    describe:
      "another CA that signs for this mesh, by Istio's CSR service over TLS; it must let us ask for others (--ca-delegates there)",
  },
  'upstream-ca-token-file': {
    kind: 'value',
    placeholder: 'FILE',
    describe: 'our proof there: a token (service account, OIDC, join token); read at each call',
  },
  'upstream-ca-cert': {
    kind: 'value',
    placeholder: 'DIR',
    describe:
      'or our certificate there: cert-chain.pem, key.pem, root-cert.pem, as `weft agent --cert-dir` keeps them',
  },
  'upstream-ca-roots': {
    kind: 'value',
    placeholder: 'FILE',
    describe: 'PEM: what its own certificate must lead to',
  },
  'upstream-ca-name': {
    kind: 'value',
    placeholder: 'NAME',
    describe: 'the DNS name in its certificate (istiod.istio-system.svc)',
  },
  'ca-delegates': {
    kind: 'value',
    placeholder: 'NS/SA[,…]',
    describe: 'control planes that may ask for certificates of everybody: this one is their CA',
  },
  brokers: {
    kind: 'list',
    placeholder: 'NS/SA[=NS,…]',
    describe:
      'a broker of another machine, which speaks for the workloads (of these namespaces) that dial in to it',
  },
} as const satisfies Record<string, Option>

const DELEGATE = /^[a-z0-9.-]{1,253}\/[A-Za-z0-9._-]{1,253}$/
const BESIDES = [
  'upstream-ca-token-file',
  'upstream-ca-cert',
  'upstream-ca-roots',
  'upstream-ca-name',
] as const

/** @throws {UsageError} When options contradict each other, or one is missing. */
export function upstreamCaOf(args: Arguments, { cwd }: Terminal): CaOptions['upstream'] {
  const where = args.value('upstream-ca')
  if (where === undefined) {
    const lone = BESIDES.find((option) => args.value(option) !== undefined)
    if (lone === undefined) return undefined
    throw new UsageError(`--${lone} needs --upstream-ca HOST:PORT`)
  }
  const token = args.value('upstream-ca-token-file')
  const folder = args.value('upstream-ca-cert')
  const rootsFile = args.value('upstream-ca-roots')
  const serverName = args.value('upstream-ca-name')
  if ((token === undefined) === (folder === undefined)) {
    throw new UsageError(
      '--upstream-ca needs one proof of who we are: --upstream-ca-token-file FILE or --upstream-ca-cert DIR',
    )
  }
  return {
    address: parseAddress('upstream-ca', where),
    credentials:
      token === undefined
        ? { kind: 'certificate', folder: resolve(cwd, folder ?? '') }
        : { kind: 'token', path: resolve(cwd, token) },
    ...(rootsFile === undefined ? {} : { rootsFile: resolve(cwd, rootsFile) }),
    ...(serverName === undefined ? {} : { serverName }),
  }
}

/** @throws {UsageError} For what names no service account, or no namespaces. */
export function brokersOf(args: Arguments): NonNullable<CaOptions['brokers']> {
  return args.list('brokers').map((text) => {
    const [account = '', names, ...rest] = text.split('=')
    const namespaces = names?.split(',')
    const isBad = namespaces?.some((name) => !/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name))
    if (!DELEGATE.test(account) || rest.length > 0 || isBad === true) {
      throw new UsageError(
        `--brokers takes a service account, or one with namespaces: edge/broker, edge/broker=shop,web; got '${text}'`,
      )
    }
    return { account, ...(namespaces === undefined ? {} : { namespaces }) }
  })
}

/** @throws {UsageError} For what names no service account. */
export function delegatesOf(args: Arguments): readonly string[] {
  const names = (args.value('ca-delegates') ?? '').split(',').filter((name) => name !== '')
  const bad = names.find((name) => !DELEGATE.test(name))
  if (bad === undefined) return names
  throw new UsageError(
    `--ca-delegates takes service accounts such as istio-system/weft-east, got '${bad}'`,
  )
}

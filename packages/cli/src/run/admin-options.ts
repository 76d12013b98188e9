/** Options of `weft control` about its admin API → what the control plane takes. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { ControlPlaneOptions } from '@weft/control'
import type { Arguments } from '../arguments.ts'
import { type Option, UsageError } from '../command.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { DEFAULT_ADMIN, parseAddress } from './addresses.ts'

export const ADMIN_OPTIONS = {
  admin: {
    kind: 'value',
    placeholder: 'HOST:PORT',
    describe: `admin API, plaintext, for this machine (${DEFAULT_ADMIN})`,
  },
  'admin-tls': {
    kind: 'value',
    placeholder: 'HOST:PORT',
    describe: 'admin API over TLS, for other machines: tokens or client certificates',
  },
  'admin-socket': {
    kind: 'value',
    placeholder: 'PATH',
    describe: 'unix socket (0600) for the admin API besides: its user is admin',
  },
  'admin-host': {
    kind: 'list',
    placeholder: 'NAME',
    describe: 'a name by which browsers may reach the admin API',
  },
  'insecure-admin': {
    kind: 'flag',
    describe: 'take tokens in plaintext on an --admin that others reach',
  },
  operators: {
    kind: 'value',
    placeholder: 'FILE',
    describe: 'YAML: bindings: [{role, users, groups, namespaces}]; read again when it changes',
  },
  'client-ca': {
    kind: 'value',
    placeholder: 'FILE',
    describe: 'PEM: the CA of operators; CN is the user, O are groups',
  },
} as const satisfies Record<string, Option>

/** @throws {UsageError} When an option is wrong. */
export function adminOptionsOf(
  args: Arguments,
  terminal: Terminal,
): Omit<ControlPlaneOptions, 'sources'> {
  const pathOf = (option: string) => {
    const path = args.value(option)
    return path === undefined ? undefined : resolve(terminal.cwd, path)
  }
  const fileOf = (option: string) => {
    const path = pathOf(option)
    if (path === undefined || existsSync(path)) return path
    throw new UsageError(`--${option}: there is no file ${args.value(option)}`, 'unreadable')
  }
  const secure = args.value('admin-tls')
  const adminSocketPath = pathOf('admin-socket')
  const bindingsFile = fileOf('operators')
  const clientCaFile = fileOf('client-ca')
  return {
    admin: parseAddress('admin', args.value('admin') ?? DEFAULT_ADMIN),
    insecureAdmin: args.flag('insecure-admin'),
    adminHosts: args.list('admin-host'),
    ...(secure === undefined ? {} : { adminTls: parseAddress('admin-tls', secure) }),
    ...(adminSocketPath === undefined ? {} : { adminSocketPath }),
    operators: {
      ...(bindingsFile === undefined ? {} : { bindingsFile }),
      ...(clientCaFile === undefined ? {} : { clientCaFile }),
    },
  }
}

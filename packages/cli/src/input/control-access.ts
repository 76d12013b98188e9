/**
 * Which control plane a command asks, and by which proof. Nothing is needed on the machine and by the
 * user that runs it: a control plane leaves its owner's token in a file that only its user can read.
 *
 *     --token-file, --token ─► WEFT_TOKEN ─► `weft auth login` ─► the owner's file (loopback only)
 */
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Arguments } from '../arguments.ts'
import { type Option, UsageError } from '../command.ts'
import type { ApiTarget } from '../mesh-call.ts'
import { DEFAULT_ADMIN, parseAddress } from '../run/addresses.ts'
import { bootstrapFolder } from '../run/bootstrap.ts'
import type { Terminal } from '../terminal/terminal.ts'

/** Of every command that asks a control plane. */
export const API_OPTIONS = {
  control: {
    kind: 'value',
    placeholder: 'URL',
    describe: `admin API of the control plane (http://${DEFAULT_ADMIN}), or unix:/PATH`,
  },
  token: {
    kind: 'value',
    placeholder: 'TOKEN',
    describe: 'who you are there (or WEFT_TOKEN); on its own machine none is needed',
  },
  'token-file': { kind: 'value', placeholder: 'FILE', describe: 'the same from a file' },
  'ca-file': {
    kind: 'value',
    placeholder: 'FILE',
    describe: 'https: the roots to trust, PEM (weft ca export)',
  },
  'client-cert': { kind: 'value', placeholder: 'FILE', describe: 'https: who you are, PEM' },
  'client-key': { kind: 'value', placeholder: 'FILE', describe: 'https: its key, PEM' },
} as const satisfies Record<string, Option>

/** What `weft auth login` keeps. */
export interface Login {
  readonly token: string
  /** PEM. */
  readonly ca?: string
}

/** @throws {UsageError} When an option is wrong, or a file that was named cannot be read. */
export async function apiTargetOf(args: Arguments, terminal: Terminal): Promise<ApiTarget> {
  const address = controlAddressOf(args)
  const login = address.url === undefined ? undefined : await readLogin(address.url, terminal)
  const token = (await namedTokenOf(args, terminal)) ?? login?.token
  const found = token ?? (await ownerTokenOf(address.url, terminal))
  const fileOf = async (option: 'ca-file' | 'client-cert' | 'client-key') => {
    const file = args.value(option)
    return file === undefined ? undefined : readNamed(option, file, terminal)
  }
  const ca = (await fileOf('ca-file')) ?? login?.ca
  const cert = await fileOf('client-cert')
  const key = await fileOf('client-key')
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError('--client-cert and --client-key belong together')
  }
  if (cert !== undefined && address.url?.protocol !== 'https:') {
    throw new UsageError('--client-cert needs --control https://…')
  }
  return {
    ...address,
    // A certificate speaks for itself; a token that was found by itself must not speak louder.
    ...(found === undefined || (cert !== undefined && token === undefined) ? {} : { token: found }),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
  }
}

/** A control plane that this machine's user runs. */
export async function ownTarget(url: string, terminal: Terminal): Promise<ApiTarget> {
  const token = await ownerTokenOf(new URL(url), terminal)
  return { url: new URL(url), ...(token === undefined ? {} : { token }) }
}

/** `http://host:port`, `host:port`, a port, or `unix:/path`. @throws {UsageError} Otherwise. */
function controlAddressOf(
  args: Arguments,
):
  | { readonly url: URL; readonly socketPath?: never }
  | { readonly socketPath: string; readonly url?: never } {
  const text = args.value('control') ?? DEFAULT_ADMIN
  if (text.startsWith('unix:')) return { socketPath: text.slice('unix:'.length) }
  if (/^https?:\/\//.test(text)) {
    if (!URL.canParse(text)) throw new UsageError(`--control must be a URL, got '${text}'`)
    return { url: new URL(text) }
  }
  const { host, port } = parseAddress('control', text)
  return { url: new URL(`http://${host.includes(':') ? `[${host}]` : host}:${port}`) }
}

async function namedTokenOf(args: Arguments, terminal: Terminal): Promise<string | undefined> {
  const file = args.value('token-file')
  const given = args.value('token')
  if (file !== undefined && given !== undefined) {
    throw new UsageError('--token and --token-file exclude each other')
  }
  const text =
    file === undefined
      ? (given ?? terminal.env.WEFT_TOKEN)
      : (await readNamed('token-file', file, terminal)).trim()
  if (text === '') throw new UsageError('the token must not be empty')
  if (text !== undefined && !/^[\x21-\x7e]+$/.test(text)) {
    throw new UsageError('the token has characters that no token has')
  }
  return text
}

/** The file is the owner's alone; whoever listens on another machine must not be shown it. */
async function ownerTokenOf(url: URL | undefined, terminal: Terminal): Promise<string | undefined> {
  if (url === undefined) return undefined
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (host !== 'localhost' && host !== '::1' && !host.startsWith('127.')) return undefined
  const names = host === 'localhost' ? ['127.0.0.1', '::1', 'localhost'] : [host]
  for (const name of names) {
    const path = join(bootstrapFolder(terminal), `${name}-${portOf(url)}.admin-token`)
    const text = await readFile(path, 'utf8').catch(() => undefined)
    if (text !== undefined) return text.trim()
  }
  return undefined
}

function portOf({ port, protocol }: URL): string {
  return port === '' ? (protocol === 'https:' ? '443' : '80') : port
}

export function loginFile(url: URL, { env }: Terminal): string {
  const base = env.XDG_CONFIG_HOME ?? join(homedir(), '.config')
  const host = url.hostname.replace(/[^A-Za-z0-9.-]/g, '_')
  return join(base, 'weft', 'logins', `${url.protocol.slice(0, -1)}-${host}-${portOf(url)}.json`)
}

async function readLogin(url: URL, terminal: Terminal): Promise<Login | undefined> {
  try {
    const { token, ca } = JSON.parse(await readFile(loginFile(url, terminal), 'utf8')) as Login
    return { token, ...(ca === undefined ? {} : { ca }) }
  } catch {
    return undefined
  }
}

async function readNamed(option: string, file: string, terminal: Terminal): Promise<string> {
  try {
    if (file === '-') return await terminal.readStdin()
    return await readFile(resolve(terminal.cwd, file), 'utf8')
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError(`--${option}: cannot read ${file}: ${why}`, 'unreadable', { cause })
  }
}

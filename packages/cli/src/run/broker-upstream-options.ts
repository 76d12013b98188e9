/** From a command line to the broker that a broker at the edge is a client of. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { UpstreamOptions } from '@weft/broker'
import type { Arguments } from '../arguments.ts'
import { type Option, UsageError } from '../command.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { isLoopback, parseAddress } from './addresses.ts'

export const UPSTREAM_OPTIONS = {
  'upstream-broker': {
    kind: 'value',
    placeholder: 'ADDRESS',
    describe: 'ask this broker for what nobody has here, export to it: tcps://HOST:PORT, wss://…',
  },
  'upstream-token-file': {
    kind: 'value',
    placeholder: 'FILE',
    describe: 'token that proves there who this broker is; read for each connection',
  },
  'upstream-ca': {
    kind: 'value',
    placeholder: 'FILE',
    describe: 'roots of that broker over tcps://, PEM (those of the system)',
  },
  'upstream-name': {
    kind: 'value',
    placeholder: 'NAME',
    describe: 'name in its certificate (the host that is dialled)',
  },
} as const satisfies Record<string, Option>

/** Undefined: there is none. @throws {UsageError} What is missing or cannot be read. */
export function upstreamOptionsOf(
  args: Arguments,
  terminal: Terminal,
): Omit<UpstreamOptions, 'id'> | undefined {
  const text = args.value('upstream-broker')
  if (text === undefined) {
    const orphan = Object.keys(UPSTREAM_OPTIONS).find((name) => args.flag(name))
    if (orphan === undefined) return undefined
    throw new UsageError(`--${orphan} needs --upstream-broker ADDRESS`)
  }
  const file = args.value('upstream-token-file')
  const token = file === undefined ? undefined : reader('upstream-token-file', file, terminal)
  return {
    target: targetOf(text, args, terminal, token !== undefined),
    ...(token === undefined ? {} : { token: () => token().trim() }),
  }
}

function targetOf(
  text: string,
  args: Arguments,
  terminal: Terminal,
  hasToken: boolean,
): UpstreamOptions['target'] {
  const [, scheme = 'tcp', rest = text] = /^([a-z]+):\/\/(.*)$/.exec(text) ?? []
  const ca = args.value('upstream-ca')
  if (scheme !== 'tcps' && (ca !== undefined || args.value('upstream-name') !== undefined)) {
    throw new UsageError('--upstream-ca and --upstream-name are for tcps:// brokers')
  }
  if (scheme === 'ws' || scheme === 'wss') {
    if (!URL.canParse(text)) throw new UsageError(`--upstream-broker must be a URL, got '${text}'`)
    const { hostname, port } = new URL(text)
    checkOpen(scheme === 'ws', { host: hostname, port: Number(port) }, hasToken)
    return { kind: 'websocket', url: text }
  }
  if (scheme !== 'tcp' && scheme !== 'tcps') {
    throw new UsageError(
      `--upstream-broker must look like tcps://broker:7878 or wss://broker/, got '${text}'`,
    )
  }
  const address = parseAddress('upstream-broker', rest)
  checkOpen(scheme === 'tcp', address, hasToken)
  if (scheme === 'tcp') return { kind: 'tcp', address }
  const serverName = args.value('upstream-name') ?? address.host
  const caPem = ca === undefined ? undefined : reader('upstream-ca', ca, terminal)
  return {
    kind: 'tcp',
    address,
    tls: () => ({ serverName, ...(caPem === undefined ? {} : { caPem: caPem() }) }),
  }
}

function checkOpen(isPlain: boolean, address: Parameters<typeof isLoopback>[0], hasToken: boolean) {
  if (!isPlain || !hasToken || isLoopback(address)) return
  throw new UsageError(
    `--upstream-broker: the token could be read on the way to ${address.host}: use tcps:// or wss://`,
  )
}

/** Reads the file now, too: what cannot be read now is a wrong command line. */
function reader(option: string, file: string, { cwd }: Terminal): () => string {
  const path = resolve(cwd, file)
  const read = () => readFileSync(path, 'utf8')
  try {
    read()
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError(`--${option}: cannot read ${file}: ${why}`, 'unreadable', { cause })
  }
  return read
}

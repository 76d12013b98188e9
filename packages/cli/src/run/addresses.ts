/** Addresses on a command line. Pure but for `freePort`. */
import { createServer } from 'node:net'
import type { SocketAddress } from '@weft/model'
import { UsageError } from '../command.ts'

export const LOOPBACK = '127.0.0.1'
export const DEFAULT_XDS = '127.0.0.1:15010'
export const DEFAULT_ADMIN = '127.0.0.1:15014'

/** `8080`, `:8080`, `host:8080`, `[::1]:8080`. @throws {UsageError} Otherwise. */
export function parseAddress(option: string, text: string, host = LOOPBACK): SocketAddress {
  const parts = /^(?:\[([^\]]+)\]:|([^:[\]]*):)?(\d{1,5})$/.exec(text)
  const port = Number(parts?.[3])
  if (parts === null || port > 65_535) {
    throw new UsageError(`--${option} must look like 127.0.0.1:8080, got '${text}'`)
  }
  return { host: parts[1] ?? (parts[2] || host), port }
}

export const XDS_PORT = 15_010
/** Istio's: whoever names it means TLS. */
export const XDS_TLS_PORT = 15_012
const TLS_PREFIX = 'tls:'

/** Whether a control plane is meant to be spoken to over TLS. */
export function isTlsAddress(text: string): boolean {
  return (
    text.startsWith(TLS_PREFIX) || (!text.startsWith('unix:') && text.endsWith(`:${XDS_TLS_PORT}`))
  )
}

export function isLoopback({ host }: SocketAddress): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}

/** Where a control plane listens for proxies: an address, or a unix socket as `unix:/path`. */
export function parseConnect(
  option: string,
  text: string,
): SocketAddress | { readonly path: string } {
  return text.startsWith('unix:')
    ? { path: text.slice('unix:'.length) }
    : parseAddress(option, text.startsWith(TLS_PREFIX) ? text.slice(TLS_PREFIX.length) : text)
}

/** `80=8080` pairs of service ports and the ports bound for them. */
export function parsePortMap(
  option: string,
  pairs: Readonly<Record<string, string>>,
): Readonly<Record<string, number>> {
  const map: Record<string, number> = {}
  for (const [from, to] of Object.entries(pairs)) {
    if (![from, to].every((port) => /^\d{1,5}$/.test(port) && Number(port) <= 65_535)) {
      throw new UsageError(`--${option} must look like 80=8080, got '${from}=${to}'`)
    }
    map[from] = Number(to)
  }
  return map
}

/** `wanted` if nobody listens there, else a port that is free now. */
export async function freePort(host: string, wanted = 0): Promise<number> {
  const tryPort = (port: number) =>
    new Promise<number | undefined>((resolve) => {
      const server = createServer()
      server.once('error', () => resolve(undefined))
      server.listen({ port, host, exclusive: true }, () => {
        const address = server.address()
        const bound = typeof address === 'object' && address !== null ? address.port : 0
        server.close(() => resolve(bound))
      })
    })
  const port = (wanted === 0 ? undefined : await tryPort(wanted)) ?? (await tryPort(0))
  if (port === undefined) throw new Error(`Cannot find a free port on ${host}`)
  return port
}

/** A connection to an endpoint, as its cluster wants it: plain, or with TLS on top. */
import { isIP } from 'node:net'
import type { Cluster, SocketAddress } from '@weft/model'
import { connectTls, type Socket, type SocketHandler } from '@weft/net'
import type { EngineDeps } from '../exchange/contract.ts'
import { failedSocket } from './failed-socket.ts'

/**
 * As `transport.connect`: `onOpen` means that requests can go. Never plaintext to a
 * cluster with TLS, also while its secrets have not come.
 *
 * @param authority The request's host, for clusters whose server name it is.
 */
export function connectUpstream(
  { tls, name }: Cluster,
  address: SocketAddress,
  handler: SocketHandler,
  deps: EngineDeps,
  authority?: string,
): Socket {
  if (tls === undefined) return deps.transport.connect(address, handler)
  const context = deps.tls?.client(tls)
  if (context === undefined) {
    return failedSocket(address, handler, new Error(`a TLS secret of ${name} has not come`))
  }
  const wanted = tls.sni ?? (tls.autoSni === true ? authority?.replace(/:\d+$/, '') : undefined)
  const serverName = wanted === undefined || isIP(wanted) !== 0 ? undefined : wanted
  return connectTls(deps.transport, address, handler, { context, serverName })
}

/** RFC 9110, section 15.5.20: the client took this connection for another host's. */
import type { HttpConnectionManager } from '@weft/model'
import type { Socket } from '@weft/net'
import type { Exchange } from '../exchange/exchange.ts'
import { routeRequest } from '../exchange/route-request.ts'
import type { HttpHome } from './http-home.ts'

export function isMisdirected(
  home: HttpHome,
  socket: Socket,
  manager: HttpConnectionManager | undefined,
  authority: string,
): boolean {
  // In plaintext nobody was named before.
  if (socket.tls === undefined || home.covers === undefined) return false
  return manager?.refuseMisdirected !== false && !home.covers(socket, authority)
}

/** Routes the request, unless it came in by the wrong door. */
export function routeHere(exchange: Exchange, home: HttpHome, socket: Socket): void {
  const { authority, runtime } = exchange
  if (isMisdirected(home, socket, runtime.manager, authority)) {
    exchange.fail('misdirected', `this connection is not for ${authority}`)
  } else routeRequest(exchange)
}

/** Where a broker is and how it is dialled from Node: TCP, TLS over TCP, or WebSocket. */
import { realClock } from '@weft/base'
import type { SocketAddress } from '@weft/model'
import type { Carrier, CarrierHandler } from './carrier.ts'
import { type LinkTls, openStreamCarrier } from './stream-carrier.ts'
import { openWebSocketCarrier } from './websocket-carrier.ts'

export type BrokerTarget =
  | {
      readonly kind: 'tcp'
      readonly address: SocketAddress
      /** Asked for each connection, as certificates are renewed; absent: plaintext. */
      readonly tls?: () => LinkTls
    }
  /** `ws:` or `wss:`; certificates are judged by the roots that Node has. */
  | { readonly kind: 'websocket'; readonly url: string }

/** @throws When the certificates that are to be shown cannot be read. */
export function openCarrier(target: BrokerTarget, handler: CarrierHandler): Carrier {
  if (target.kind === 'tcp') return openStreamCarrier(target.address, target.tls, handler)
  const deps = { schedule: setImmediate, after: realClock.after }
  return openWebSocketCarrier(target.url, deps, handler)
}

export function renderTarget(target: BrokerTarget): string {
  if (target.kind === 'websocket') return target.url
  const { host, port } = target.address
  const scheme = target.tls === undefined ? 'tcp' : 'tcps'
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`
}

/**
 * Connections that end before a protocol is served on them, for the access log: no filter chain
 * is theirs, their TLS handshake failed, or the chain's rules refuse them. Logs hang on filter
 * chains; a connection without one is told to those of the listener's first.
 */
import type { Clock } from '@weft/base'
import { renderAddress, type SocketAddress } from '@weft/model'
import type { Socket } from '@weft/net'
import type { ChainRuntime, EngineDeps, ListenerRuntime } from '../exchange/contract.ts'

/** One of the texts says why; the names are those of Envoy's operators. */
export interface Refusal {
  readonly responseFlags?: string
  readonly responseCodeDetails?: string
  /** Of TLS with the client. */
  readonly transportFailure?: string
  /** See `connectionDenialText`. */
  readonly denial?: string
  readonly serverName?: string | undefined
  /** When it began, if not now; monotonic. */
  readonly begunMs?: number
}

/** Envoy's words for a connection that no filter chain is for. */
const NO_CHAIN: Refusal = {
  responseFlags: 'NR',
  responseCodeDetails: 'filter_chain_not_found',
}

export function tellRefused(
  { handler }: ChainRuntime,
  socket: Socket,
  refusal: Refusal,
  { clock }: { readonly clock: Clock },
): void {
  const { direction, listener, observer } = handler
  const now = clock.monotonicMs()
  const durationMs = now - (refusal.begunMs ?? now)
  observer.onConnectionRefused?.({
    direction,
    listener,
    responseFlags: refusal.responseFlags ?? '-',
    responseCodeDetails: refusal.responseCodeDetails,
    transportFailure: refusal.transportFailure,
    failureDetail: refusal.denial ?? '',
    ...{ receivedBytes: 0, sentBytes: 0, attempts: 0, opened: false, durationMs },
    startedAtMs: clock.nowMs() - durationMs,
    ...{ cluster: undefined, endpoint: undefined },
    ...{ upstreamAddress: undefined, upstreamLocal: undefined },
    downstreamRemote: socket.remoteAddress,
    downstreamDirect: socket.directAddress,
    downstreamLocal: socket.localAddress,
    serverName: refusal.serverName ?? socket.tls?.serverName,
    downstreamTls: socket.tls,
  })
}

/** @param address Of the listener. */
export function tellUnmatched(
  runtime: ListenerRuntime | undefined,
  socket: Socket,
  serverName: string | undefined,
  address: SocketAddress,
  deps: EngineDeps,
): void {
  const owner = { kind: 'listener', name: renderAddress(address) } as const
  deps.filterStats?.counter(owner, 'no_filter_chain_match')()
  const chain = runtime?.chains[0] ?? runtime?.defaultChain
  if (chain !== undefined) tellRefused(chain, socket, { ...NO_CHAIN, serverName }, deps)
}

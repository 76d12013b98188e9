/** A connection of its own to an endpoint, for what is not HTTP behind the first bytes. */
import { renderAddress } from '@weft/model'
import type { Socket, SocketHandler, Timed } from '@weft/net'
import type { Host } from '@weft/traffic'
import type { EngineDeps } from '../exchange/contract.ts'
import type { Failure } from '../exchange/failures.ts'
import { type ConnectionPurpose, connectUpstream, towards } from '../tls/connect-upstream.ts'
import type { UpstreamCluster } from './cluster.ts'

export interface RawConnectHandler {
  /** Reading is paused; the caller sets a handler and resumes. */
  onConnected(socket: Socket): void
  onFailed(failure: Failure, detail: string): void
}

/** Returns how to give up. Exactly one of the handler's methods is called, unless given up. */
export function rawConnect(
  cluster: UpstreamCluster,
  host: Host,
  handler: RawConnectHandler,
  deps: EngineDeps,
  purpose?: ConnectionPurpose,
): () => void {
  if (!cluster.limits.admitConnection()) {
    handler.onFailed('overflow', 'too many connections')
    return () => undefined
  }
  const attempt = new RawConnect(cluster, host, handler, deps, purpose)
  return () => attempt.giveUp()
}

class RawConnect implements SocketHandler, Timed {
  deadlineTick = 0
  slotTick = 0
  readonly #cluster: UpstreamCluster
  readonly #host: Host
  readonly #deps: EngineDeps
  readonly #socket: Socket
  #handler: RawConnectHandler | undefined

  constructor(
    cluster: UpstreamCluster,
    host: Host,
    handler: RawConnectHandler,
    deps: EngineDeps,
    purpose: ConnectionPurpose | undefined,
  ) {
    this.#cluster = cluster
    this.#host = host
    this.#deps = deps
    this.#handler = handler
    this.#socket = connectUpstream(
      towards(cluster.model, host.endpoint),
      host.endpoint.address,
      this,
      deps,
      purpose,
    )
    deps.wheel.arm(this, cluster.model.connectTimeoutMs, deps.clock.monotonicMs())
  }

  giveUp(): void {
    this.#handler = undefined
    this.#socket.close()
  }

  onOpen(): void {
    this.#deps.wheel.disarm(this)
    this.#socket.pause()
    this.#handler?.onConnected(this.#socket)
  }

  onDeadline(): void {
    const within = `${this.#cluster.model.connectTimeoutMs} ms`
    this.#fail('connectTimeout', `did not accept within ${within}`)
    this.#socket.close()
  }

  onData(): void {}
  onEnd(): void {}
  onDrain(): void {}

  onClose(error: Error | undefined): void {
    this.#deps.wheel.disarm(this)
    this.#cluster.limits.release('connections')
    this.#fail('connectFailure', error?.message ?? 'closed while connecting')
  }

  #fail(failure: Failure, why: string): void {
    const handler = this.#handler
    this.#handler = undefined
    if (handler === undefined) return
    this.#cluster.noteFailure(this.#host, this.#deps.clock.monotonicMs())
    handler.onFailed(failure, `${renderAddress(this.#host.endpoint.address)}: ${why}`)
  }
}

/** The sessions of a broker that may be resumed, by their tokens. */
import type { Clock } from '@weft/base'
import type { Socket } from '@weft/net'
import { RSOCKET_ERROR } from '@weft/wire'
import type { BrokerCounters } from '../counters.ts'
import type { Leg } from '../leg.ts'
import type { BrokerLimits } from '../limits.ts'
import { ResumableSocket, type ResumeHome } from './resumable-socket.ts'

/** Who knows a token may take the session over: it must not be guessed. */
const MIN_TOKEN_BYTES = 16

export interface ResumptionDeps {
  readonly limits: BrokerLimits
  readonly clock: Clock
  readonly counters: BrokerCounters
  /** Whether it is to be sent new requests. */
  setServing(leg: Leg, isServing: boolean): void
}

export class Resumption {
  readonly #deps: ResumptionDeps
  readonly #sessions = new Map<string, ResumableSocket>()

  constructor(deps: ResumptionDeps) {
    this.#deps = deps
  }

  /** Sessions whose peers are there, and those whose peers may come back. */
  get size(): number {
    return this.#sessions.size
  }

  /** What a leg is made on in place of `raw`. */
  wrap(raw: Socket, legOn: (socket: ResumableSocket) => Leg): ResumableSocket {
    const socket: ResumableSocket = new ResumableSocket(
      raw,
      this.#homeOf(() => leg),
    )
    const leg = legOn(socket)
    socket.handler = leg
    return socket
  }

  #homeOf(leg: () => Leg): ResumeHome {
    const { limits, clock, counters } = this.#deps
    /** It is to be called again when it is back. */
    let wasServing = false
    return {
      windowMs: limits.resumeWindowMs,
      maxBytes: limits.maxResumeBytes,
      maxSetupBytes: limits.maxSetupBytes,
      maxFrameBytes: limits.maxFrameBytes,
      after: (delayMs, fire) => clock.after(delayMs, fire),
      isOpen: () => leg().isOpen,
      fail(code, why) {
        if (code !== RSOCKET_ERROR.connectionError) counters.rejectedSetups++
        leg().fail(code, why)
      },
      keep: (token, socket) => this.#keep(token, socket),
      find: (token) => {
        const found = this.#sessions.get(keyOf(token))
        return found?.closed === false ? found : undefined
      },
      forget: (token) => this.#sessions.delete(keyOf(token)),
      onLost: () => {
        counters.carriersLost++
        wasServing = leg().isServing
        if (wasServing) this.#deps.setServing(leg(), false)
      },
      onResumed: () => {
        counters.carriersResumed++
        const resumed = leg()
        if (wasServing) this.#deps.setServing(resumed, true)
        wasServing = false
        // Leases begin anew.
        if (resumed.lease !== undefined) resumed.lease = { requests: 0, untilMs: 0 }
        resumed.grant?.grant(clock.monotonicMs())
      },
    }
  }

  #keep(token: Uint8Array, socket: ResumableSocket): string | undefined {
    const key = keyOf(token)
    if (token.length < MIN_TOKEN_BYTES) {
      return `a resume token has ${MIN_TOKEN_BYTES} bytes or more`
    }
    if (this.#sessions.has(key)) return 'the resume token is in use'
    if (this.#sessions.size >= this.#deps.limits.maxResumable) {
      return 'WEFT-503 the broker has as many resumable connections as it takes'
    }
    this.#sessions.set(key, socket)
    return undefined
  }
}

function keyOf(token: Uint8Array): string {
  return Buffer.from(token).toString('latin1')
}

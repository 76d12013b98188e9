/** Asks Envoy's rate limit service, whoever carries the messages. */
import type { RateLimitService } from '@weft/model'
import type {
  CountedDescriptor,
  RateLimitAnswer,
  RateLimitMessages,
} from './rate-limit-messages.ts'

export interface ServiceQuestion {
  /** `/package.Service/Method`. */
  readonly path: string
  readonly authority: string
  /** In milliseconds, > 0. */
  readonly timeoutMs: number
  readonly message: Uint8Array
}

/** @returns Cancels. `done` is called once unless cancelled: the answer's message, or `undefined`. */
export type SendQuestion = (
  question: ServiceQuestion,
  done: (message: Uint8Array | undefined) => void,
) => () => void

const ASK = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit'
/** Only Weft's own service has it. */
const GIVE_BACK = '/weft.ratelimit.v1.Leases/Return'
/** There when the first limit was bound a moment ago: most proxies never need them. */
let loaded: RateLimitMessages | undefined

async function loadRateLimitMessages(): Promise<RateLimitMessages> {
  loaded ??= await import('./rate-limit-messages.ts')
  return loaded
}

export class RateLimitAsker {
  readonly #service: RateLimitService
  readonly #send: SendQuestion

  constructor(service: RateLimitService, send: SendQuestion) {
    this.#service = service
    this.#send = send
    if (loaded === undefined) void loadRateLimitMessages()
  }

  /** @returns Cancels. `done` is called once unless cancelled; `undefined`: nobody answered. */
  ask(
    descriptors: readonly CountedDescriptor[],
    hits: number,
    done: (answer: RateLimitAnswer | undefined) => void,
  ): () => void {
    const askWith = (messages: RateLimitMessages) =>
      this.#sendWith(messages, ASK, descriptors, hits, (bytes) =>
        done(bytes && read(messages, bytes)),
      )
    if (loaded !== undefined) return askWith(loaded)
    let isCancelled = false
    let cancel = (): void => {
      isCancelled = true
    }
    void loadRateLimitMessages().then((messages) => {
      if (!isCancelled) cancel = askWith(messages)
    })
    return () => cancel()
  }

  /** Hits that were granted and not used. */
  giveBack(descriptors: readonly CountedDescriptor[], hits: number): void {
    if (loaded !== undefined) this.#sendWith(loaded, GIVE_BACK, descriptors, hits, () => {})
  }

  #sendWith(
    messages: RateLimitMessages,
    path: string,
    descriptors: readonly CountedDescriptor[],
    hits: number,
    done: (bytes: Uint8Array | undefined) => void,
  ): () => void {
    const { cluster, timeoutMs, domain } = this.#service
    const authority = this.#service.authority ?? cluster.replaceAll(/[^\w.:-]/g, '_')
    const message = messages.encodeRateLimitRequest(domain, descriptors, hits)
    return this.#send({ path, authority, timeoutMs, message }, done)
  }
}

function read(messages: RateLimitMessages, bytes: Uint8Array): RateLimitAnswer | undefined {
  try {
    return messages.decodeRateLimitResponse(bytes)
  } catch {
    return undefined
  }
}

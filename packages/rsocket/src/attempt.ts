/** One attempt at a call: on one link, once. */
import {
  type Interaction,
  RESPONDER_GONE,
  type RSocketPayload,
  type RSocketStream,
  type RSocketStreamHandler,
} from '@weft/wire'
import { ERROR_CODE, errorFromWire, ofCall, RSocketError } from './errors.ts'
import type { Carrier } from './link/carrier.ts'
import type { ManagedLink } from './link-set.ts'

/** How an attempt failed, and what may be done about it. */
export class AttemptError extends Error {
  readonly error: RSocketError
  /**
   * `unsent`: it has not left this process. `rejected`: whom it came to has not processed it.
   * `lost`: the link is gone, or the one behind the broker is, and it may have run.
   * `answered`: that is the answer.
   */
  readonly kind: 'unsent' | 'rejected' | 'lost' | 'answered'

  constructor(kind: AttemptError['kind'], error: RSocketError) {
    super(error.message)
    this.kind = kind
    this.error = ofCall(error)
  }
}

export interface Attempt {
  readonly stream: RSocketStream
  readonly carrier: Carrier
  /** From what came to why. */
  failure(code: number, message: string): AttemptError
  /** Whether the request was handed to the network. */
  readonly hasLeft: boolean
}

/** @throws {AttemptError} If the link has just gone. */
export function begin(
  { link }: ManagedLink,
  interaction: Interaction,
  payload: RSocketPayload,
  handler: RSocketStreamHandler,
  options: { readonly initialN?: number; readonly complete?: boolean } = {},
): Attempt {
  const { peer, carrier } = link
  if (peer === undefined || carrier === undefined) throw new AttemptError('unsent', unsent())
  link.takePermit()
  const number = carrier.outgoing.taken
  const stream = peer.request(interaction, payload, handler, options)
  return {
    stream,
    carrier,
    get hasLeft() {
      return carrier.outgoing.wasGiven(number)
    },
    failure(code, message) {
      // A peer that is closed says itself that its streams are over; nobody else did.
      if (peer.closed) {
        if (!carrier.outgoing.wasGiven(number)) return new AttemptError('unsent', unsent())
        return new AttemptError('lost', new RSocketError('CANCELED', message))
      }
      return new AttemptError(kindOf(code, message), errorFromWire(code, message))
    },
  }
}

/** What an ERROR of the broker says of the request. */
function kindOf(code: number, message: string): AttemptError['kind'] {
  if (code === ERROR_CODE.REJECTED) return 'rejected'
  const isLost = code === ERROR_CODE.CANCELED && message === RESPONDER_GONE
  return isLost ? 'lost' : 'answered'
}

export function unsent(): RSocketError {
  return new RSocketError('REJECTED', 'WEFT-502 the link was lost before the request left')
}

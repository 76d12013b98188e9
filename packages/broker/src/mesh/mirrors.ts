/**
 * Copies of requests for clusters that only watch. They go the way of every request, from a peer
 * inside the broker that throws the answers away; what happens to them is nobody's concern.
 */
import { FRAME_TYPE, FrameView, interactionOf, readFrame } from '@weft/wire'
import type { Broker } from '../broker.ts'
import type { Leg } from '../leg.ts'
import { attachLocalPeer, type LocalPeer, OWN_FACTS } from '../local-peer.ts'
import type { PeerFacts } from '../peer-facts.ts'
import type { ForwardVerdict } from '../router.ts'

const FACTS: PeerFacts = { ...OWN_FACTS, skipsFilters: true }

const IGNORED = {
  onItem() {},
  onComplete() {},
  onError() {},
  onRequestN() {},
  onCancel() {},
}

export class Mirrors {
  readonly #view = new FrameView()
  #broker: Broker | undefined
  #local: LocalPeer | undefined
  /** Of the copy that is being sent: what is sent is handled before `request` returns. */
  #next: ForwardVerdict | undefined

  serve(broker: Broker): void {
    this.#broker = broker
  }

  /** Where a copy goes; undefined: the request is none. */
  verdictFor(leg: Leg): ForwardVerdict | undefined {
    return this.#next !== undefined && this.#local?.leg === leg ? this.#next : undefined
  }

  /** Sends a whole request once more; channels and requests in fragments are not copied. */
  send(frame: Uint8Array, verdict: ForwardVerdict): void {
    const view = this.#view
    if (readFrame(view, frame, 0, frame.length) !== undefined || view.follows) return
    const interaction = interactionOf(view.type)
    if (interaction === undefined || view.type === FRAME_TYPE.requestChannel) return
    const peer = this.#peer()
    if (peer === undefined) return
    this.#next = verdict
    try {
      peer.request(
        interaction,
        {
          data: frame.subarray(view.dataFrom, view.dataTo),
          metadata: frame.subarray(view.metadataFrom, view.metadataTo),
        },
        IGNORED,
      )
    } finally {
      this.#next = undefined
    }
  }

  #peer(): LocalPeer['peer'] | undefined {
    if (this.#broker === undefined) return undefined
    if (this.#local === undefined || this.#local.leg.closed) {
      this.#local = attachLocalPeer(this.#broker, FACTS)
    }
    return this.#local.peer
  }

  close(): void {
    this.#local?.leg.close()
  }
}

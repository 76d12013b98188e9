/** One request on its way through the broker: two legs, two stream ids, credit both ways. */
import type { Timed } from '@weft/net'
import type { CreditWindow } from '@weft/traffic'
import { type FrameView, type Interaction, openStream } from '@weft/wire'
import type { AttemptTimer } from './attempt.ts'
import type { FilteredStream } from './filters/filtered-stream.ts'
import { IN_METADATA, requestPartAfter } from './fragments.ts'
import type { GatheredMetadata } from './gathered-metadata.ts'
import type { Leg } from './leg.ts'
import type { CallObserver, CallWatch, ForwardVerdict, MessageChanges, Refusal } from './router.ts'

export class StreamEntry implements Timed {
  readonly requester: Leg
  readonly requesterId: number
  readonly interaction: Interaction
  /** Absent until the request has a verdict. */
  responder: Leg | undefined
  responderId = 0
  /** Of the wire's `stream-state.ts`. */
  state: number
  /** Items from the responder; streams and channels. */
  toRequester: CreditWindow | undefined
  /** Items from the requester; channels. */
  toResponder: CreditWindow | undefined
  /** Bytes of the item under way that came in earlier fragments, per direction. */
  requesterItemBytes = 0
  responderItemBytes = 0
  /** Fragments of the payload under way that added next to nothing. */
  shortFragments = 0
  /** Of `fragments.ts`: how much of the request has come. */
  requestPart = IN_METADATA
  /** Metadata that is not whole yet. */
  gathered: GatheredMetadata | undefined
  /** Frames that came before the verdict, copied; the first is the request. */
  parked: Buffer[] | undefined
  /** `handedBytes` of the responder's outbox from which on the request may have reached it. */
  handedAt = 0
  /** The whole request, kept while another responder may get it. */
  held: Buffer | undefined
  /** How often it may go to another responder. */
  retriesLeft = 0
  tried: Leg[] | undefined
  /** Chooses again among those that were not tried. */
  pickAgain: ForwardVerdict['pick'] | undefined
  /** What looks at the answer's first frame, until it has come. */
  changes: MessageChanges | undefined
  /** Somebody wants to see it. */
  awaitsAnswer = false
  watch: CallWatch | undefined
  timer: AttemptTimer | undefined
  observer: CallObserver | undefined
  /** What filters make of the stream; absent: none wants to see it. */
  filter: FilteredStream | undefined
  /** For observers: the status of an HTTP answer, 0 before it; and sizes of frames. */
  status = 0
  requestBytes = 0
  answerBytes = 0
  timedOut = false
  /** What ended it before anybody could answer. */
  refusal: Refusal | undefined
  /** What became of repeats, as a flag of the access log. */
  flag = ''
  /** When it came; monotonic. */
  readonly openedAtMs: number
  /** How many responders had it. */
  attempts = 0
  /** When the responder got it; monotonic. */
  startedAtMs = 0
  deadlineTick = 0
  slotTick = 0
  onTimeout: ((entry: StreamEntry) => void) | undefined

  constructor(requester: Leg, requesterId: number, interaction: Interaction, state: number) {
    this.requester = requester
    this.requesterId = requesterId
    this.interaction = interaction
    this.openedAtMs = requester.owner.nowMs
    this.state = state
  }

  onDeadline(): void {
    this.onTimeout?.(this)
  }

  /** Whether the request may have been seen by its responder. */
  get wasHanded(): boolean {
    return this.responder !== undefined && this.responder.outbox.handedBytes > this.handedAt
  }
}

/** A request begins with this frame. */
export function openEntry(leg: Leg, view: FrameView, interaction: Interaction): StreamEntry {
  const state = openStream(interaction, view.flags)
  const entry = new StreamEntry(leg, view.streamId, interaction, state)
  entry.requestPart = requestPartAfter(view)
  return entry
}

/**
 * One automaton for the four interactions: which half of a stream is still open, and which
 * frames may come (Protocol.md, "Stream Sequences and Lifetimes"). A state is a small integer,
 * so that a broker steps it per frame without allocating; 0 is the end.
 *
 *     interaction       requester's half ends on         responder's half ends on
 *     request/response  its last fragment                any PAYLOAD without F, ERROR
 *     fire-and-forget   its last fragment                never opens
 *     request/stream    its last fragment                PAYLOAD with C, ERROR
 *     request/channel   C, CANCEL from the responder     C
 *
 * CANCEL from the requester ends both halves, as does ERROR from the responder and, in a
 * channel, from either side.
 */
import { FRAME_FLAG, FRAME_TYPE, type Interaction } from './frames.ts'

const REQUESTER_OPEN = 1
const RESPONDER_OPEN = 2
/** A fragmented REQUEST_CHANNEL that completes with its last fragment. */
const COMPLETES_AFTER_FRAGMENTS = 4
/** The requester's next PAYLOAD goes on with a payload that has begun. */
const REQUESTER_FRAGMENTS = 8
const RESPONDER_FRAGMENTS = 16
/** The request itself has fragments to come; its payload is no item that costs credit. */
const REQUEST_UNFINISHED = 32

const OPEN = REQUESTER_OPEN | RESPONDER_OPEN
/** Set by `stepStream` beside the state: the frame has no place here and is dropped silently. */
export const STEP_DROP = 0x100
/** Set by `stepStream` beside the state: an item ended with this frame, and uses up one credit. */
export const STEP_ITEM = 0x200

const STATE = 0xff

export function stateOf(step: number): number {
  return step & STATE
}

export function isRequesterOpen(state: number): boolean {
  return (state & REQUESTER_OPEN) !== 0
}

export function isResponderOpen(state: number): boolean {
  return (state & RESPONDER_OPEN) !== 0
}

/** The request itself is not whole yet: PAYLOADs of the requester belong to it. */
function isRequestUnfinished(state: number): boolean {
  return (state & REQUEST_UNFINISHED) !== 0
}

/** The state after a REQUEST_* frame with these flags. 0 for a whole fire-and-forget. */
export function openStream(interaction: Interaction, flags: number): number {
  const responder = interaction === 'fnf' ? 0 : RESPONDER_OPEN
  const completes = interaction === 'channel' && (flags & FRAME_FLAG.complete) !== 0
  if ((flags & FRAME_FLAG.follows) !== 0) {
    const after = completes ? COMPLETES_AFTER_FRAGMENTS : 0
    return responder | REQUESTER_OPEN | REQUEST_UNFINISHED | after
  }
  return interaction === 'channel' && !completes ? responder | REQUESTER_OPEN : responder
}

/**
 * The state after a frame on an open stream, with `STEP_DROP` or `STEP_ITEM` beside it.
 * REQUEST_N never changes the state; it is dropped where nobody counts.
 */
export function stepStream(
  interaction: Interaction,
  state: number,
  fromRequester: boolean,
  type: number,
  flags: number,
): number {
  switch (type) {
    case FRAME_TYPE.payload:
      return fromRequester
        ? stepRequesterPayload(interaction, state, flags)
        : stepResponderPayload(interaction, state, flags)
    case FRAME_TYPE.cancel:
      return stepCancel(interaction, state, fromRequester)
    case FRAME_TYPE.error:
      return fromRequester && interaction !== 'channel' ? state | STEP_DROP : 0
    case FRAME_TYPE.requestN:
      return mayRequestN(interaction, state, fromRequester) ? state : state | STEP_DROP
    default:
      return state | STEP_DROP
  }
}

function stepRequesterPayload(interaction: Interaction, state: number, flags: number): number {
  if ((state & REQUESTER_OPEN) === 0) return state | STEP_DROP
  const completes = (flags & FRAME_FLAG.complete) !== 0
  const follows = (flags & FRAME_FLAG.follows) !== 0 && !completes
  if (isRequestUnfinished(state)) {
    if (follows) return state
    const ends = interaction !== 'channel' || completes || (state & COMPLETES_AFTER_FRAGMENTS) !== 0
    return state & ~(REQUEST_UNFINISHED | COMPLETES_AFTER_FRAGMENTS | (ends ? REQUESTER_OPEN : 0))
  }
  if (follows) return state | REQUESTER_FRAGMENTS
  const inRun = (state & REQUESTER_FRAGMENTS) !== 0
  const closed = completes ? REQUESTER_OPEN : 0
  return (state & ~(REQUESTER_FRAGMENTS | closed)) | itemOf(flags, inRun)
}

function stepResponderPayload(interaction: Interaction, state: number, flags: number): number {
  if ((state & RESPONDER_OPEN) === 0) return state | STEP_DROP
  const completes = (flags & FRAME_FLAG.complete) !== 0
  if ((flags & FRAME_FLAG.follows) !== 0 && !completes) return state | RESPONDER_FRAGMENTS
  const inRun = (state & RESPONDER_FRAGMENTS) !== 0
  const item = itemOf(flags, inRun)
  if (interaction === 'rr') return item
  const closed = completes ? RESPONDER_OPEN : 0
  return (state & ~(RESPONDER_FRAGMENTS | closed)) | item
}

function itemOf(flags: number, inRun: boolean): number {
  return inRun || (flags & FRAME_FLAG.next) !== 0 ? STEP_ITEM : 0
}

function stepCancel(interaction: Interaction, state: number, fromRequester: boolean): number {
  if (fromRequester) return 0
  if (interaction !== 'channel' || (state & REQUESTER_OPEN) === 0) return state | STEP_DROP
  return (
    state & ~(REQUESTER_OPEN | REQUESTER_FRAGMENTS | REQUEST_UNFINISHED | COMPLETES_AFTER_FRAGMENTS)
  )
}

function mayRequestN(interaction: Interaction, state: number, fromRequester: boolean): boolean {
  if (fromRequester) {
    return (interaction === 'stream' || interaction === 'channel') && (state & RESPONDER_OPEN) !== 0
  }
  return interaction === 'channel' && (state & REQUESTER_OPEN) !== 0
}

export function isStreamOver(state: number): boolean {
  return (state & OPEN) === 0
}

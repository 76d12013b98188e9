/**
 * What fragments must not do. Metadata comes first and completely (Protocol.md, "Fragmentation and
 * Reassembly"): a call is judged by what came before its data, and responders that put later
 * metadata to it would do something else than what was judged.
 */
import { FRAME_FLAG, FRAME_TYPE, type FrameView } from '@weft/wire'
import type { StreamEntry } from './stream-entry.ts'

/** A fragment with less content is short: many of them are an attack. */
const SHORT_FRAGMENT_BYTES = 16

/** Where in its request a requester is: its next PAYLOAD may have metadata, none, or is an item. */
export const IN_METADATA = 0
const IN_DATA = 1
const BEHIND_REQUEST = 2

/** After this frame of the request. */
export function requestPartAfter(view: FrameView): number {
  if (!view.follows) return BEHIND_REQUEST
  return view.dataTo > view.dataFrom ? IN_DATA : IN_METADATA
}

/** A text says why the frame ends its stream. */
export function fragmentProblem(
  entry: StreamEntry,
  view: FrameView,
  fromRequester: boolean,
): string | undefined {
  if (view.type !== FRAME_TYPE.payload) return undefined
  if (fromRequester && entry.requestPart !== BEHIND_REQUEST) {
    const isLate = entry.requestPart === IN_DATA && (view.flags & FRAME_FLAG.metadata) !== 0
    if (isLate) return 'metadata after the data of the request began'
    entry.requestPart = Math.max(entry.requestPart, requestPartAfter(view))
  }
  return view.follows && isTrickle(entry, view) ? 'fragments that add next to nothing' : undefined
}

/** Whether this fragment is one short one too many of its payload. */
function isTrickle(entry: StreamEntry, view: FrameView): boolean {
  const content = view.metadataTo - view.metadataFrom + view.dataTo - view.dataFrom
  if (content >= SHORT_FRAGMENT_BYTES) return false
  const { limits, counters } = entry.requester.owner
  if (++entry.shortFragments <= limits.maxShortFragments) return false
  counters.shortFragments++
  return true
}

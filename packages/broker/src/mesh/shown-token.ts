/**
 * A token that a single request shows (entry 0x7C) and that a verification used up: the application
 * does not get it, as behind a sidecar, unless the rule says `forwardOriginalToken`.
 */
import type { FieldChanges } from '@weft/traffic'
import { FrameView, METADATA_ID, readComposite, readFrame, renderComposite } from '@weft/wire'
import { withPayload } from '../filters/frames.ts'
import { GatheredMetadata } from '../gathered-metadata.ts'

const view = new FrameView()

/** Whether what was verified is not for the application. */
function isUsedUp(all: readonly FieldChanges[]): boolean {
  return all.some(({ remove = [] }) => remove.includes('authorization'))
}

/** The request's frame as its responder gets it; undefined: its metadata is in pieces. */
export function withoutUsedToken(
  frame: Uint8Array,
  changes: readonly FieldChanges[],
): Uint8Array | undefined {
  if (!isUsedUp(changes)) return frame
  if (readFrame(view, frame, 0, frame.length) !== undefined || !view.hasMetadata) return undefined
  if (GatheredMetadata.isNeeded(view)) return undefined
  const { metadataFrom, metadataTo } = view
  const entries = readComposite(frame.subarray(metadataFrom, metadataTo))
  if (entries === undefined) return undefined
  const kept = entries.filter(({ mime }) => mime !== METADATA_ID.authentication && mime !== MIME)
  return withPayload(frame, renderComposite(kept), undefined)
}

const MIME = 'message/x.rsocket.authentication.v0'

/** Frames that filters take apart and put together. All are without length prefix. */
import {
  FRAME_FLAG,
  FrameView,
  type Interaction,
  interactionOf,
  LENGTH_PREFIX_BYTES,
  type RSocketPayload,
  readFrame,
  renderRequest,
} from '@weft/wire'

/** `request` with other metadata or data. */
export function withPayload(
  frame: Uint8Array,
  metadata: Uint8Array | undefined,
  data: Uint8Array | undefined,
): Uint8Array {
  const view = viewOf(frame)
  const interaction = interactionOf(view.type) as Interaction
  const flags = view.flags & ~FRAME_FLAG.metadata
  const old = payloadOf(view)
  const payload = { data: data ?? old.data, metadata: metadata ?? old.metadata }
  return withoutPrefix(renderRequest(interaction, view.streamId, payload, view.number, flags))
}

/**
 * The fragments of one request as one frame; when the last is still followed by more, so is the
 * frame.
 */
export function joinedRequest(frames: readonly Uint8Array[]): Uint8Array {
  const metadata: Uint8Array[] = []
  const data: Uint8Array[] = []
  let flags = 0
  let last = 0
  for (const frame of frames) {
    const view = viewOf(frame)
    const { bytes } = view
    if (view.hasMetadata) metadata.push(bytes.subarray(view.metadataFrom, view.metadataTo))
    data.push(bytes.subarray(view.dataFrom, view.dataTo))
    flags |= view.flags & FRAME_FLAG.complete
    last = view.follows ? FRAME_FLAG.follows : 0
  }
  const first = viewOf(frames[0] as Uint8Array)
  const interaction = interactionOf(first.type) as Interaction
  const payload: RSocketPayload = {
    data: Buffer.concat(data),
    metadata: metadata.length === 0 ? undefined : Buffer.concat(metadata),
  }
  const complete = interaction === 'channel' ? flags : 0
  return withoutPrefix(
    renderRequest(interaction, first.streamId, payload, first.number, complete | last),
  )
}

export function payloadOf(view: FrameView): RSocketPayload {
  const { bytes, metadataFrom, metadataTo, dataFrom, dataTo } = view
  return {
    data: bytes.subarray(dataFrom, dataTo),
    metadata: view.hasMetadata ? bytes.subarray(metadataFrom, metadataTo) : undefined,
  }
}

export function viewOf(frame: Uint8Array): FrameView {
  const view = new FrameView()
  readFrame(view, frame, 0, frame.length)
  return view
}

export function withoutPrefix(frame: Uint8Array): Uint8Array {
  return frame.subarray(LENGTH_PREFIX_BYTES)
}

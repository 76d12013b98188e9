/**
 * How the broker speaks to programs built on `com.alibaba.rsocket`: refusals in the words that
 * their client knows, and the data type with every request, which their responders decode by.
 */
import {
  CompositeReader,
  FRAME_FLAG,
  FRAME_HEAD_BYTES,
  FRAME_TYPE,
  METADATA_ID,
  mimeId,
  RSOCKET_ERROR,
  readUint24,
  renderComposite,
  renderMimes,
  writeUint24,
} from '@weft/wire'

const MAX_FRAME_BYTES = 0xff_ff_ff

export interface Said {
  readonly code: number
  readonly message: string
}

/** A refusal of the broker as their client expects it; everything else stays as it is. */
export function inAlibabaWords(code: number, message: string): Said {
  if (message.startsWith('WEFT-404 '))
    return { code: RSOCKET_ERROR.invalid, message: `RST-900404 ${message.slice(9)}` }
  if (code === RSOCKET_ERROR.denied)
    return { code: RSOCKET_ERROR.applicationError, message: `RST-900401 ${message}` }
  if (message === NO_ROUTE) return { code, message: `RST-600404 ${message}` }
  return { code, message }
}

export const NO_ROUTE = 'the request has no routing metadata'

const reader = new CompositeReader()

/**
 * The request `bytes[from..to)` with an entry of its data type appended to its metadata, as a
 * frame of its own. Undefined: it has one, its metadata goes on in the next fragment, or it
 * would become too long.
 */
export function withDataMime(
  bytes: Uint8Array,
  from: number,
  to: number,
  dataMime: string,
): Buffer | undefined {
  const flags = ((bytes[from + 4] as number) << 8) | (bytes[from + 5] as number)
  if ((flags & FRAME_FLAG.metadata) === 0 || dataMime === '') return undefined
  const type = flags >>> 10
  const isCounted = type === FRAME_TYPE.requestStream || type === FRAME_TYPE.requestChannel
  const lengthAt = from + FRAME_HEAD_BYTES + (isCounted ? 4 : 0)
  const metadataFrom = lengthAt + 3
  const metadataTo = metadataFrom + readUint24(bytes, lengthAt)
  if ((flags & FRAME_FLAG.follows) !== 0 && metadataTo === to) return undefined
  reader.start(bytes, metadataFrom, metadataTo)
  if (reader.find(METADATA_ID.dataMime) || reader.malformed) return undefined
  const entry = entryOf(dataMime)
  if (to - from + entry.length > MAX_FRAME_BYTES) return undefined
  const at = metadataTo - from
  const frame = Buffer.allocUnsafe(to - from + entry.length)
  frame.set(bytes.subarray(from, metadataTo), 0)
  frame.set(entry, at)
  frame.set(bytes.subarray(metadataTo, to), at + entry.length)
  writeUint24(frame, lengthAt - from, metadataTo - metadataFrom + entry.length)
  return frame
}

/** Those of well-known types, made once. */
const entries = new Map<string, Buffer>()

function entryOf(dataMime: string): Buffer {
  const known = entries.get(dataMime)
  if (known !== undefined) return known
  const content = renderMimes([dataMime.slice(0, 128)])
  const entry = renderComposite([{ mime: METADATA_ID.dataMime, content }])
  if (mimeId(dataMime) !== undefined) entries.set(dataMime, entry)
  return entry
}

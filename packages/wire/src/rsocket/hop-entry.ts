/**
 * What one broker says to another in front of a request that it passes on: the first entry of the
 * composite metadata, taken off before delivery (§ 15.3 of the broker's design).
 *
 *     14 "message/x.weft.hop.v0" u24        the entry's head
 *     u8 hops                               brokers behind it, from 1
 *     u8 verdict                            1: the requester's broker has allowed the call
 *     u8 length, UTF-8                      the connection that is to answer, as it is named in etcd
 */
import { renderComposite } from './composite-metadata.ts'
import { readUint24 } from './frames.ts'

export const HOP_MIME = 'message/x.weft.hop.v0'
/** The requester's broker found the call allowed. */
export const HOP_ALLOWED = 1

export interface Hop {
  readonly endpointId: string
  /** `HOP_ALLOWED`; anything else lets nothing through. */
  readonly verdict: number
  /** How many brokers the request has passed, 1 to 255. */
  readonly hops: number
}

export interface ReadHop extends Hop {
  /** Of the whole entry, from the beginning of the metadata. */
  readonly bytes: number
}

const HEAD = Buffer.concat([Buffer.of(HOP_MIME.length - 1), Buffer.from(HOP_MIME, 'latin1')])
const MAX_ID_BYTES = 255

/** The entry with its head. @throws {RangeError} When the endpoint's id has over 255 bytes. */
export function renderHop({ endpointId, verdict, hops }: Hop): Buffer {
  const id = Buffer.from(endpointId)
  if (id.length > MAX_ID_BYTES) {
    throw new RangeError(`Cannot render a hop: an id has at most ${MAX_ID_BYTES} bytes`)
  }
  const content = Buffer.concat([Buffer.of(hops, verdict, id.length), id])
  return renderComposite([{ mime: HOP_MIME, content }])
}

/** The hop at the beginning of `bytes[from..to)`; undefined: there is none, or not all of it. */
export function readHop(bytes: Uint8Array, from: number, to: number): ReadHop | undefined {
  const contentFrom = from + HEAD.length + 3
  if (contentFrom + 3 > to) return undefined
  for (let i = 0; i < HEAD.length; i++) if (bytes[from + i] !== HEAD[i]) return undefined
  const contentTo = contentFrom + readUint24(bytes, from + HEAD.length)
  const idFrom = contentFrom + 3
  const idTo = idFrom + (bytes[contentFrom + 2] as number)
  if (contentTo > to || idTo !== contentTo) return undefined
  return {
    bytes: contentTo - from,
    hops: bytes[contentFrom] as number,
    verdict: bytes[contentFrom + 1] as number,
    endpointId: Buffer.from(bytes.subarray(idFrom, idTo)).toString('utf8'),
  }
}

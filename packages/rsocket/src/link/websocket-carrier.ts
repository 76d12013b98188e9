/** Frames over WebSocket: each a binary message of its own, without a prefix. Runs in browsers. */
import { LENGTH_PREFIX_BYTES } from '@weft/wire'
import { type Carrier, type CarrierHandler, OutgoingFrames } from './carrier.ts'

/** A WebSocket takes whatever it is given; this much of it at once. */
const BUFFERED_BYTES = 1_048_576
/** It does not tell when there is room again. */
const LOOK_MS = 5

export interface WebSocketDeps {
  /** Calls back at the end of this turn of the event loop. */
  schedule(flush: () => void): void
  after(delayMs: number, fire: () => void): () => void
}

/**
 * @param url `ws:` or `wss:`; certificates are judged by the roots of the runtime.
 * @throws {SyntaxError} If it is no such URL.
 */
export function openWebSocketCarrier(
  url: string,
  deps: WebSocketDeps,
  handler: CarrierHandler,
): Carrier {
  const socket = new WebSocket(url)
  socket.binaryType = 'arraybuffer'
  let why: string | undefined
  let isOver = false
  const isFull = () =>
    socket.readyState === WebSocket.OPEN && socket.bufferedAmount > BUFFERED_BYTES
  const look = () => {
    if (isFull()) deps.after(LOOK_MS, look)
    else outgoing.onRoom()
  }
  const outgoing = new OutgoingFrames({
    schedule: deps.schedule,
    send(frames) {
      if (socket.readyState === WebSocket.OPEN) {
        for (const frame of frames) socket.send(messageOf(frame))
      }
      if (!isFull()) return true
      deps.after(LOOK_MS, look)
      return false
    },
  })
  const over = () => {
    if (isOver) return
    isOver = true
    handler.onClose(why)
    outgoing.close()
  }
  socket.addEventListener('open', () => handler.onOpen())
  socket.addEventListener('message', ({ data }) => {
    if (isOver) return
    if (!(data instanceof ArrayBuffer)) {
      handler.onBroken('a text message, where frames are binary ones')
      return
    }
    handler.onFrame(new Uint8Array(data), 0, data.byteLength)
  })
  socket.addEventListener('error', (event) => {
    why = 'message' in event && event.message !== '' ? String(event.message) : 'no WebSocket'
  })
  socket.addEventListener('close', over)
  return {
    outgoing,
    end() {
      outgoing.flush()
      socket.close()
    },
    destroy() {
      socket.close()
      over()
    },
  }
}

/** A copy of its own: the prefix stays behind, and `send` takes no shared memory. */
function messageOf(frame: Uint8Array): Uint8Array<ArrayBuffer> {
  const message = new Uint8Array(frame.length - LENGTH_PREFIX_BYTES)
  message.set(frame.subarray(LENGTH_PREFIX_BYTES))
  return message
}

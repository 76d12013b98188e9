/**
 * What carries a link's frames to a broker: TCP, TLS over TCP, or WebSocket. What one turn of the
 * event loop has leaves in one write.
 */
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { SocketAddress } from '@weft/model'
import { LENGTH_PREFIX_BYTES, RSocketFrameReader } from '@weft/wire'

export type BrokerTarget =
  | {
      readonly kind: 'tcp'
      readonly address: SocketAddress
      /** Asked for each connection, as certificates are renewed; absent: plaintext. */
      readonly tls?: () => LinkTls
    }
  /** `ws:` or `wss:`; certificates are judged by the roots that Node has. */
  | { readonly kind: 'websocket'; readonly url: string }

export interface LinkTls {
  readonly serverName: string
  /** Absent: the roots that Node has. */
  readonly caPem?: string
  /** Shown to the broker, which then needs no token. */
  readonly certificate?: { readonly chainPem: string; readonly keyPem: string }
}

export interface CarrierHandler {
  onOpen(): void
  /** One frame, `bytes[from..to)` without prefix. */
  onFrame(bytes: Uint8Array, from: number, to: number): void
  /** What came was no frame. */
  onBroken(why: string): void
  /** Exactly once, also when it never opened. */
  onClose(why: string | undefined): void
}

export interface Carrier {
  /** A frame with its length prefix; it is not changed afterwards. */
  write(frame: Uint8Array): void
  /** Sends what waits, then closes. */
  end(): void
  /** Closes at once. */
  destroy(): void
}

export const MAX_FRAME_BYTES = 0xff_ff_ff

export function openCarrier(target: BrokerTarget, handler: CarrierHandler): Carrier {
  return target.kind === 'tcp' ? openStream(target, handler) : openWebSocket(target.url, handler)
}

export function renderTarget(target: BrokerTarget): string {
  if (target.kind === 'websocket') return target.url
  const { host, port } = target.address
  const scheme = target.tls === undefined ? 'tcp' : 'tcps'
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`
}

function openStream(
  { address, tls }: BrokerTarget & { readonly kind: 'tcp' },
  handler: CarrierHandler,
): Carrier {
  const socket =
    tls === undefined ? connectTcp({ ...address, noDelay: true }) : secure(address, tls())
  const reader = new RSocketFrameReader(
    {
      closed: false,
      onFrame: (bytes, from, to) => handler.onFrame(bytes, from, to),
      onFrameError: (why) => handler.onBroken(why),
    },
    MAX_FRAME_BYTES,
  )
  let why: string | undefined
  let isCorked = false
  socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
    socket.setNoDelay(true)
    handler.onOpen()
  })
  socket.on('data', (bytes: Buffer) => reader.receive(bytes, bytes.length))
  socket.on('error', (error) => {
    why = error.message
  })
  socket.once('close', () => handler.onClose(why))
  return {
    write(frame) {
      if (!isCorked) {
        isCorked = true
        socket.cork()
        setImmediate(() => {
          isCorked = false
          socket.uncork()
        })
      }
      socket.write(frame)
    },
    end() {
      socket.end()
      socket.destroySoon()
    },
    destroy: () => void socket.destroy(),
  }
}

function secure(address: SocketAddress, { serverName, caPem, certificate }: LinkTls): Socket {
  return connectTls({
    ...{ host: address.host, port: address.port, servername: serverName },
    ...(caPem === undefined ? {} : { ca: caPem }),
    ...(certificate === undefined ? {} : { cert: certificate.chainPem, key: certificate.keyPem }),
  })
}

/** One frame is one binary message, without a prefix. */
function openWebSocket(url: string, handler: CarrierHandler): Carrier {
  const socket = new WebSocket(url)
  socket.binaryType = 'arraybuffer'
  let why: string | undefined
  let isOver = false
  const over = () => {
    if (isOver) return
    isOver = true
    handler.onClose(why)
  }
  socket.addEventListener('open', () => handler.onOpen())
  socket.addEventListener('message', ({ data }) => {
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
    write(frame) {
      if (socket.readyState === WebSocket.OPEN) {
        // A copy of its own: the prefix stays behind.
        socket.send(frame.slice(LENGTH_PREFIX_BYTES))
      }
    },
    end: () => socket.close(),
    destroy() {
      socket.close()
      over()
    },
  }
}

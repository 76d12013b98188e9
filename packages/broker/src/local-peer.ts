/**
 * A peer inside the broker's own process: what it asks goes the way of everything that comes in
 * by a socket, limits and counters included, without one.
 */
import type { Socket, SocketHandler } from '@weft/net'
import {
  LENGTH_PREFIX_BYTES,
  RSocketFrameReader,
  type RSocketPayload,
  RSocketPeer,
  type RSocketStream,
} from '@weft/wire'
import type { Broker } from './broker.ts'
import type { Leg } from './leg.ts'
import { LENGTH_FRAMING } from './outbox.ts'
import type { PeerFacts } from './peer-facts.ts'

const MAX_FRAME_BYTES = 0xff_ff_ff
/** Of those that it answers; the connections they come from have limits of their own. */
const MAX_STREAMS = 1_000_000
const NOWHERE = { host: '127.0.0.1', port: 0 }

export interface LocalPeer {
  readonly peer: RSocketPeer
  readonly leg: Leg
}

/** Of peers that speak for others: who asks was decided before, or is decided by the request. */
export const OWN_FACTS: PeerFacts = {
  setup: { keepaliveMs: 0x7fff_ffff, maxLifetimeMs: 0x7fff_ffff, lease: false, dataMime: '' },
  metadataForm: 'composite',
  isAlibaba: false,
  identity: { principal: undefined, claims: undefined },
  instance: undefined,
  features: new Set(['http']),
}

/** @param onRequest Answers what it is asked; absent: it only asks. */
export function attachLocalPeer(
  broker: Broker,
  facts: PeerFacts,
  onRequest: (stream: RSocketStream, payload: RSocketPayload) => void = () => {},
): LocalPeer {
  const peer = new RSocketPeer(
    {
      role: 'connecting',
      sendFrameBytes: MAX_FRAME_BYTES,
      maxPayloadBytes: MAX_FRAME_BYTES,
      maxStreams: MAX_STREAMS,
    },
    {
      write: (frame) => leg.onLocalFrame(frame, LENGTH_PREFIX_BYTES, frame.length),
      onSetup: () => undefined,
      onRequest,
      onLease() {},
      onMetadataPush() {},
      onFatal() {},
    },
  )
  const socket = new LocalSocket(peer)
  const leg = broker.attach(socket, LENGTH_FRAMING, facts)
  return { peer, leg }
}

/** Takes everything at once: what the broker writes is handled before `write` returns. */
class LocalSocket implements Socket {
  handler: SocketHandler = NOBODY
  readonly remoteAddress = NOWHERE
  readonly localAddress = NOWHERE
  readonly pendingBytes = 0
  closed = false
  readonly #peer: RSocketPeer
  readonly #reader: RSocketFrameReader

  constructor(peer: RSocketPeer) {
    this.#peer = peer
    this.#reader = new RSocketFrameReader(
      {
        closed: false,
        onFrame: (bytes, from, to) => peer.onFrame(bytes, from, to),
        onFrameError: (why) => peer.onFrameError(why),
      },
      MAX_FRAME_BYTES,
    )
  }

  write(bytes: Uint8Array): boolean {
    if (!this.closed) this.#reader.receive(bytes, bytes.length)
    return true
  }

  pause(): void {}
  resume(): void {}

  bulkReads(): boolean {
    return false
  }

  end(): void {
    this.close()
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.#peer.close('the broker closes')
  }

  reset(): void {
    this.close()
  }
}

const NOBODY: SocketHandler = {
  onOpen() {},
  onData() {},
  onEnd() {},
  onDrain() {},
  onClose() {},
}

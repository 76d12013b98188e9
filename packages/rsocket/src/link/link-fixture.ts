/** Test support: a broker that is a function call away, and time that tests move. */
import { silentLogger } from '@weft/base'
import { FakeClock } from '@weft/testkit'
import {
  FRAME_TYPE,
  FrameView,
  LENGTH_PREFIX_BYTES,
  type RSocketPayload,
  RSocketPeer,
  type RSocketStream,
  readFrame,
  renderLease,
  type Setup,
} from '@weft/wire'
import { type Carrier, type CarrierHandler, OutgoingFrames } from './carrier.ts'
import { Link, type LinkDeps, type LinkOptions } from './link.ts'

/** What one connection's far end is and has heard. */
export interface FarEnd {
  readonly peer: RSocketPeer
  readonly setup: Setup | undefined
  /** LEASE frames, as requests. */
  readonly leases: readonly number[]
  /** METADATA_PUSH frames, as text. */
  readonly pushes: readonly string[]
  keepalives: number
  /** The connection breaks. */
  cut(): void
  lease(requests: number): void
}

export class FakeBroker {
  /** Whether somebody listens. */
  isThere = true
  /** Whether hello is answered. */
  answers = true
  refusal: string | undefined
  dials = 0
  readonly ends: FarEnd[] = []
  onRequest: (stream: RSocketStream, payload: RSocketPayload) => void = (stream, payload) => {
    if (!this.answers) return
    stream.next(
      { data: payload.data.length === 0 ? utf8('{"broker":"fake"}') : payload.data },
      true,
    )
  }

  /** Connects within the turn; frames arrive at once. */
  dial = (handler: CarrierHandler): Carrier => {
    this.dials++
    let isOver = false
    const over = (why?: string) => {
      if (isOver) return
      isOver = true
      handler.onClose(why)
      outgoing.close()
    }
    const end = this.#endFor(handler, over)
    const outgoing = new OutgoingFrames({
      schedule: queueMicrotask,
      send(frames) {
        for (const frame of frames) if (!isOver) end.take(frame)
        return true
      },
    })
    queueMicrotask(() => {
      if (isOver) return
      if (!this.isThere) over('ECONNREFUSED')
      else {
        this.ends.push(end)
        handler.onOpen()
      }
    })
    return { outgoing, end: () => over(), destroy: () => over() }
  }

  #endFor(handler: CarrierHandler, cut: () => void): FarEnd & { take(frame: Uint8Array): void } {
    const leases: number[] = []
    const pushes: string[] = []
    const view = new FrameView()
    const write = (frame: Uint8Array) => handler.onFrame(frame, LENGTH_PREFIX_BYTES, frame.length)
    const peer = new RSocketPeer(
      {
        role: 'accepting',
        sendFrameBytes: 0xff_ff_ff,
        maxPayloadBytes: 0xff_ff_ff,
        maxStreams: 1_000,
      },
      {
        write,
        onSetup: (setup) => {
          end.setup = setup
          return this.refusal
        },
        onRequest: (stream, payload) => this.onRequest(stream, payload),
        onLease: ({ requests }) => void leases.push(requests),
        onMetadataPush: (metadata) => void pushes.push(Buffer.from(metadata).toString()),
        onFatal: cut,
      },
    )
    const end = {
      ...{ peer, leases, pushes, cut, keepalives: 0 },
      setup: undefined as Setup | undefined,
      lease: (requests: number) => write(renderLease({ requests, ttlMs: 60_000 })),
      take(frame: Uint8Array) {
        readFrame(view, frame, LENGTH_PREFIX_BYTES, frame.length)
        if (view.type === FRAME_TYPE.keepalive) {
          end.keepalives++
          if (!this_.answers) return
        }
        peer.onFrame(frame, LENGTH_PREFIX_BYTES, frame.length)
      },
    }
    const this_ = this
    return end
  }
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

export function fakeLink(
  broker: FakeBroker,
  options: Partial<LinkOptions> = {},
  deps: Partial<LinkDeps> = {},
) {
  const clock = new FakeClock()
  const states: boolean[] = []
  const link = new Link(
    { broker: 'fake', dial: broker.dial, hello: () => ({ v: 1 }), ...options },
    {
      ...{ clock, log: silentLogger, random: () => 0.999_999 },
      onRequest: (stream) => stream.fail(0x201, 'nobody answers'),
      onState: (isUp) => void states.push(isUp),
      ...deps,
    },
  )
  return { link, clock: deps.clock instanceof FakeClock ? deps.clock : clock, states }
}

/** Lets everything happen that needs no time. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise<void>((resolve) => setImmediate(resolve))
}

/** Test support: the frame codecs of the two generations of the npm client, to differ from none. */
import { createRequire } from 'node:module'

/** A frame as both generations describe it; fields by type. */
export type ForeignFrame = Readonly<Record<string, unknown>> & {
  readonly type: number
  readonly flags: number
  readonly streamId: number
}

export interface ForeignCodec {
  readonly name: string
  serialize(frame: ForeignFrame): Buffer
  deserialize(frame: Buffer): ForeignFrame
}

const require = createRequire(import.meta.url)

export function foreignCodecs(): ForeignCodec[] {
  const alpha = require('rsocket-core') as {
    serializeFrame(frame: ForeignFrame): Buffer
    deserializeFrame(frame: Buffer): ForeignFrame
  }
  const field = require('rsocket-core-field') as {
    BufferEncoders: unknown
    serializeFrame(frame: ForeignFrame, encoders: unknown): Buffer
    deserializeFrame(frame: Buffer, encoders: unknown): ForeignFrame
  }
  return [
    {
      name: 'rsocket-core 1.0.0-alpha.3',
      serialize: (frame) => alpha.serializeFrame(frame),
      deserialize: (frame) => alpha.deserializeFrame(frame),
    },
    {
      name: 'rsocket-core 0.0.27',
      serialize: (frame) => field.serializeFrame(frame, field.BufferEncoders),
      deserialize: (frame) => field.deserializeFrame(frame, field.BufferEncoders),
    },
  ]
}

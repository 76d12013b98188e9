import type { ResourceCodec } from './resource-codec.ts'

export const codec: ResourceCodec = {
  encode() {
    throw new Error('Cannot encode: not implemented')
  },
  decode() {
    throw new Error('Cannot decode: not implemented')
  },
  renderJson() {
    throw new Error('Cannot render: not implemented')
  },
}

/** Largest request body ⇄ `envoy.filters.http.buffer`. */
import {
  BufferPerRouteSchema,
  type Buffer as BufferProto,
  BufferSchema,
} from '../../gen/envoy/extensions/filters/http/buffer/v3/buffer_pb.js'
import { covers, refuseOthers } from '../problems.ts'
import { packAny, unpackAny } from '../values.ts'
import type { HttpFilterCodec } from './filter-codec.ts'

const BUFFER = covers(BufferSchema, 'max_request_bytes')
const PER_ROUTE = covers(BufferPerRouteSchema, 'disabled', 'buffer')
/** Envoy wants a number also where the filter waits for a route's. */
const ANY_LIMIT_BYTES = 1

export const buffer: HttpFilterCodec<'buffer'> = {
  name: 'envoy.filters.http.buffer',

  encode: ({ maxRequestBytes }) => [
    {
      value: packAny(BufferSchema, { maxRequestBytes: maxRequestBytes ?? ANY_LIMIT_BYTES }),
      disabled: maxRequestBytes === undefined,
    },
  ],

  decode(any, disabled, path, problems) {
    const proto = unpackAny(any, BufferSchema)
    if (proto === undefined) return undefined
    refuseOthers(BUFFER, proto, path, problems)
    return { kind: 'buffer', ...(disabled ? {} : { maxRequestBytes: limitOf(proto) }) }
  },

  encodeOverride({ maxRequestBytes }) {
    if (maxRequestBytes === undefined) return undefined
    return packAny(BufferPerRouteSchema, {
      override:
        maxRequestBytes === 0
          ? { case: 'disabled', value: true }
          : { case: 'buffer', value: { maxRequestBytes } },
    })
  },

  decodeOverride(any, path, problems) {
    const proto = unpackAny(any, BufferPerRouteSchema)
    if (proto === undefined) return undefined
    refuseOthers(PER_ROUTE, proto, path, problems)
    if (proto.override.case !== 'buffer') return { maxRequestBytes: 0 }
    refuseOthers(BUFFER, proto.override.value, `${path}.buffer`, problems)
    return { maxRequestBytes: limitOf(proto.override.value) }
  },
}

function limitOf(proto: BufferProto): number {
  return proto.maxRequestBytes ?? 0
}

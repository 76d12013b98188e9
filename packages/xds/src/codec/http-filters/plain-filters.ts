/** Filters without settings in the listener: routes say what they do, or there is nothing to say. */
import { CorsSchema } from '../../gen/envoy/extensions/filters/http/cors/v3/cors_pb.js'
import { HTTPFaultSchema } from '../../gen/envoy/extensions/filters/http/fault/v3/fault_pb.js'
import { GrpcWebSchema } from '../../gen/envoy/extensions/filters/http/grpc_web/v3/grpc_web_pb.js'
import { packAny, unpackAny } from '../values.ts'
import { type HttpFilterCodec, refuseDisabled } from './filter-codec.ts'

export const cors: HttpFilterCodec<'cors'> = {
  name: 'envoy.filters.http.cors',
  encode: () => [{ value: packAny(CorsSchema, {}) }],
  decode(any, disabled, path, problems) {
    if (unpackAny(any, CorsSchema) === undefined) return undefined
    refuseDisabled(disabled, path, problems)
    return { kind: 'cors' }
  },
}

export const fault: HttpFilterCodec<'fault'> = {
  name: 'envoy.filters.http.fault',
  encode: () => [{ value: packAny(HTTPFaultSchema, {}) }],
  decode(any, disabled, path, problems) {
    if (unpackAny(any, HTTPFaultSchema) === undefined) return undefined
    refuseDisabled(disabled, path, problems)
    return { kind: 'fault' }
  },
}

export const grpcWeb: HttpFilterCodec<'grpcWeb'> = {
  name: 'envoy.filters.http.grpc_web',
  encode: () => [{ value: packAny(GrpcWebSchema, {}) }],
  decode(any, disabled, path, problems) {
    if (unpackAny(any, GrpcWebSchema) === undefined) return undefined
    refuseDisabled(disabled, path, problems)
    return { kind: 'grpcWeb' }
  },
}

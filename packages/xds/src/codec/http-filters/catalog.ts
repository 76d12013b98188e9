/** Every HTTP filter's codec, and a listener's whole chain both ways. */
// not a member: any-types.ts
// not a member: jwt-requirement.ts
// not a member: overrides.ts
// not a member: rate-limit-actions.ts
// not a member: rate-limit-hits.ts
// not a member: rate-limit-override.ts
import type { Any } from '@bufbuild/protobuf/wkt'
import type { HttpConnectionManager, HttpFilterConfig, HttpFilterName } from '@weft/model'
import { FilterConfigSchema as GrpcStatsSchema } from '../../gen/envoy/extensions/filters/http/grpc_stats/v3/config_pb.js'
import { RouterSchema } from '../../gen/envoy/extensions/filters/http/router/v3/router_pb.js'
import type {
  HttpFilter,
  HttpFilterSchema,
} from '../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js'
import type { Problems } from '../problems.ts'
import { type Init, packAny, unpackAny } from '../values.ts'
import { adaptiveConcurrency } from './adaptive-concurrency.ts'
import { buffer } from './buffer.ts'
import { compressor, joinCompressors } from './compressor.ts'
import { csrf } from './csrf.ts'
import { extAuthz } from './ext-authz.ts'
import type { EncodedFilter, HttpFilterCodec } from './filter-codec.ts'
import { jwtAuthn } from './jwt-authn.ts'
import { localRateLimit } from './local-rate-limit.ts'
import { cors, fault, grpcWeb } from './plain-filters.ts'
import { rateLimit } from './rate-limit.ts'
import { rbac } from './rbac.ts'
import { statefulSession } from './stateful-session.ts'

export const filterCodecs = {
  cors,
  fault,
  grpcWeb,
  csrf,
  localRateLimit,
  rateLimit,
  adaptiveConcurrency,
  compressor,
  buffer,
  statefulSession,
  jwtAuthn,
  extAuthz,
  rbac,
} as const satisfies { readonly [K in HttpFilterName]: HttpFilterCodec<K> }

const ALL = Object.values(filterCodecs)
const ROUTER_FILTER = 'envoy.filters.http.router'

/** The chain with the router at its end. */
export function encodeFilters(
  filters: readonly HttpFilterConfig[],
  suppressEnvoyHeaders = false,
): Init<typeof HttpFilterSchema>[] {
  const chain = filters.flatMap((config) => {
    const { name } = filterCodecs[config.kind]
    return encodeOne(config).map(({ value, disabled }) => ({
      name,
      configType: { case: 'typedConfig' as const, value },
      ...(disabled === true ? { disabled } : {}),
    }))
  })
  const value = packAny(RouterSchema, { suppressEnvoyHeaders })
  return [...chain, { name: ROUTER_FILTER, configType: { case: 'typedConfig', value } }]
}

/** What the router of a chain is told. */
export function decodeRouter(
  filters: readonly HttpFilter[],
): Pick<HttpConnectionManager, 'suppressEnvoyHeaders'> {
  const isSuppressed = filters.some(
    ({ configType: { case: kind, value } }) =>
      kind === 'typedConfig' && unpackAny(value, RouterSchema)?.suppressEnvoyHeaders === true,
  )
  return isSuppressed ? { suppressEnvoyHeaders: true } : {}
}

function encodeOne(config: HttpFilterConfig): readonly EncodedFilter[] {
  switch (config.kind) {
    case 'cors':
      return cors.encode(config)
    case 'fault':
      return fault.encode(config)
    case 'grpcWeb':
      return grpcWeb.encode(config)
    case 'csrf':
      return csrf.encode(config)
    case 'localRateLimit':
      return localRateLimit.encode(config)
    case 'rateLimit':
      return rateLimit.encode(config)
    case 'adaptiveConcurrency':
      return adaptiveConcurrency.encode(config)
    case 'compressor':
      return compressor.encode(config)
    case 'buffer':
      return buffer.encode(config)
    case 'statefulSession':
      return statefulSession.encode(config)
    case 'jwtAuthn':
      return jwtAuthn.encode(config)
    case 'extAuthz':
      return extAuthz.encode(config)
    case 'rbac':
      return rbac.encode(config)
  }
}

export function decodeFilters(
  filters: readonly HttpFilter[],
  path: string,
  problems: Problems,
): HttpFilterConfig[] {
  const found: HttpFilterConfig[] = []
  for (const [index, { name, configType, disabled, isOptional }] of filters.entries()) {
    const at = `${path}.http_filters[${index}]`
    const any = configType.case === 'typedConfig' ? configType.value : undefined
    if (unpackAny(any, RouterSchema) !== undefined) continue
    // Counts messages, changes none.
    if (unpackAny(any, GrpcStatsSchema) !== undefined) continue
    const config = any === undefined ? undefined : decodeOne(any, disabled, at, problems)
    if (config !== undefined) append(found, config)
    else if (!isOptional) problems.add(at, `filter ${name} is not supported`)
  }
  return found
}

function decodeOne(
  any: Any,
  disabled: boolean,
  path: string,
  problems: Problems,
): HttpFilterConfig | undefined {
  for (const codec of ALL) {
    const config = codec.decode(any, disabled, path, problems)
    if (config !== undefined) return config
  }
  return undefined
}

function append(found: HttpFilterConfig[], config: HttpFilterConfig): void {
  const last = found.at(-1)
  const joined =
    config.kind === 'compressor' && last?.kind === 'compressor'
      ? joinCompressors(last, config)
      : undefined
  if (joined === undefined) found.push(config)
  else found[found.length - 1] = joined
}

/**
 * What a virtual host or route says otherwise ⇄ `typed_per_filter_config`. What Envoy's filters
 * cannot be told there travels in the metadata's `filters`.
 */
import type { JsonObject, JsonValue } from '@bufbuild/protobuf'
import type { Any } from '@bufbuild/protobuf/wkt'
import type { FilterOverrides, HttpFilterName } from '@weft/model'
import { FilterConfigSchema } from '../../gen/envoy/config/route/v3/route_components_pb.js'
import { covers, type Problems, refuseOthers } from '../problems.ts'
import { type Extras, isObject, packAny, unpackAny } from '../values.ts'
import { filterCodecs } from './catalog.ts'
import type { AnyInit, HttpFilterCodec } from './filter-codec.ts'

const FILTER_CONFIG = covers(FilterConfigSchema, 'config', 'is_optional', 'disabled')
const KINDS = Object.keys(filterCodecs) as readonly HttpFilterName[]

function codecOf(kind: HttpFilterName): Pick<HttpFilterCodec, 'name'> & {
  readonly encodeOverride?: HttpFilterCodec['encodeOverride']
  readonly decodeOverride?: HttpFilterCodec['decodeOverride']
} {
  return filterCodecs[kind]
}

/** @param configs What the route says of filters otherwise, by Envoy's names. */
export function encodeOverrides(
  overrides: FilterOverrides | undefined,
  configs: { readonly [name: string]: AnyInit },
  rateLimitsHaveRoom: boolean,
): { readonly init: { [name: string]: AnyInit }; readonly extras: Extras } {
  const init: { [name: string]: AnyInit } = { ...configs }
  if (overrides === undefined) return { init, extras: {} }
  for (const kind of KINDS) {
    const codec = codecOf(kind)
    const value = codec.encodeOverride?.(overrides)
    if (value !== undefined) init[codec.name] = value
  }
  for (const kind of overrides.disabled ?? []) {
    const { name } = codecOf(kind)
    const config = init[name]
    const off = config === undefined ? { disabled: true } : { disabled: true, config }
    init[name] = packAny(FilterConfigSchema, off)
  }
  const extras = restOf(overrides, rateLimitsHaveRoom)
  return { init, extras: Object.keys(extras).length === 0 ? {} : { filters: extras } }
}

/** What Envoy has no place for. The values are plain data. */
function restOf(overrides: FilterOverrides, rateLimitsHaveRoom: boolean): JsonObject {
  const { adaptiveConcurrency, compressor, rateLimits } = overrides
  const rest: { [key: string]: JsonValue } = {}
  if (adaptiveConcurrency !== undefined) rest.adaptiveConcurrency = { ...adaptiveConcurrency }
  if (compressor !== undefined) {
    const { disabled: _, removeAcceptEncoding: __, ...others } = compressor
    const { encodings, contentTypes, ...plain } = others
    const fields: JsonObject = {
      ...plain,
      ...(encodings === undefined ? {} : { encodings: [...encodings] }),
      ...(contentTypes === undefined ? {} : { contentTypes: [...contentTypes] }),
    }
    if (Object.keys(compressor).length === 0 || Object.keys(fields).length > 0) {
      rest.compressor = fields
    }
  }
  if (rateLimits !== undefined && !rateLimitsHaveRoom) {
    rest.rateLimits = JSON.parse(JSON.stringify(rateLimits))
  }
  return rest
}

/**
 * @returns What the filters of this folder are told; `others` are the configurations that none
 *   of them knows.
 */
export function decodeOverrides(
  configs: { readonly [name: string]: Any },
  extras: JsonObject,
  path: string,
  problems: Problems,
): { readonly overrides: FilterOverrides; readonly others: { readonly [name: string]: Any } } {
  let overrides: FilterOverrides = restored(extras.filters)
  const others: { [name: string]: Any } = {}
  const disabled: HttpFilterName[] = []
  for (const [name, value] of Object.entries(configs)) {
    const at = `${path}.typed_per_filter_config[${name}]`
    let any: Any | undefined = value
    const wrapper = unpackAny(value, FilterConfigSchema)
    if (wrapper !== undefined) {
      refuseOthers(FILTER_CONFIG, wrapper, at, problems)
      any = wrapper.config
      const kind = KINDS.find((known) => codecOf(known).name === name)
      if (kind === undefined && !wrapper.isOptional) problems.add(at, 'is not known')
      if (kind !== undefined && wrapper.disabled) disabled.push(kind)
    }
    if (any === undefined) continue
    const found = decodeOverride(any, at, problems)
    if (found === undefined) others[name] = any
    else overrides = merge(overrides, found)
  }
  disabled.push(...(overrides.disabled ?? []))
  return {
    overrides: disabled.length === 0 ? overrides : { ...overrides, disabled: disabled.sort() },
    others,
  }
}

function decodeOverride(any: Any, path: string, problems: Problems): FilterOverrides | undefined {
  for (const kind of KINDS) {
    const found = codecOf(kind).decodeOverride?.(any, path, problems)
    if (found !== undefined) return found
  }
  return undefined
}

function merge(a: FilterOverrides, b: FilterOverrides): FilterOverrides {
  const both = { ...a, ...b }
  if (a.compressor === undefined || b.compressor === undefined) return both
  return { ...both, compressor: { ...a.compressor, ...b.compressor } }
}

/** Only Weft's control plane writes this; it is taken as it was written. */
function restored(value: JsonValue | undefined): FilterOverrides {
  return isObject(value) ? (value as unknown as FilterOverrides) : {}
}

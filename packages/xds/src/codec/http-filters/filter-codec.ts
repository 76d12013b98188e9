/**
 * What each HTTP filter's codec is: settings in a listener's chain ⇄ Envoy's `HttpFilter`, and
 * what a virtual host or route says otherwise ⇄ `typed_per_filter_config`. One file beside this
 * one per filter; the list is `catalog.ts`.
 */
import type { Any } from '@bufbuild/protobuf/wkt'
import type { FilterOverrides, HttpFilterConfig, HttpFilterName } from '@weft/model'
import type { RuntimeFractionalPercent } from '../../gen/envoy/config/core/v3/base_pb.js'
import type { Problems } from '../problems.ts'
import { decodePercent, encodePercent, type packAny } from '../values.ts'

export type AnyInit = ReturnType<typeof packAny>

export type ConfigOf<K extends HttpFilterName> = Extract<HttpFilterConfig, { kind: K }>

export interface EncodedFilter {
  readonly value: AnyInit
  /** Runs only where a route gives it settings (Envoy `HttpFilter.disabled`). */
  readonly disabled?: boolean
}

export interface HttpFilterCodec<K extends HttpFilterName = HttpFilterName> {
  /** As Envoy's documentation calls it; routes refer to it. */
  readonly name: string
  /** More than one where Envoy needs several filters for the same. */
  encode(config: ConfigOf<K>): readonly EncodedFilter[]
  /**
   * @param disabled Runs only where a route gives it settings.
   * @returns `undefined` when `any` is of another type.
   */
  decode(any: Any, disabled: boolean, path: string, problems: Problems): ConfigOf<K> | undefined
  encodeOverride?(overrides: FilterOverrides): AnyInit | undefined
  /** `undefined` when `any` is of another type. */
  decodeOverride?(any: Any, path: string, problems: Problems): FilterOverrides | undefined
}

/** A share that Envoy can also be told at run time. */
export function encodeShare(percent: number) {
  return { defaultValue: encodePercent(percent) }
}

export function decodeShare(share: RuntimeFractionalPercent | undefined, absent: number): number {
  return share === undefined ? absent : decodePercent(share.defaultValue)
}

/** For filters that a route cannot switch on. */
export function refuseDisabled(disabled: boolean, path: string, problems: Problems): void {
  if (disabled) problems.add(`${path}.disabled`, 'is not supported')
}

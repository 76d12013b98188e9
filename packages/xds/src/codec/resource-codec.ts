/**
 * The contract between the model and the wire. The implementation loads the
 * generated Envoy code and is therefore behind `loadCodec()`.
 */
import type { Resources, ResourceType } from '@weft/model'
import type { JsonValue } from '../node.ts'

export type Decoded<T> =
  | { readonly ok: true; readonly resource: T }
  /** Why a client must reject the resource; each problem names the field. */
  | { readonly ok: false; readonly problems: readonly string[] }

export interface ResourceCodec {
  /** The message as protobuf bytes; deterministic: equal resources give equal bytes. */
  encode<T extends ResourceType>(type: T, resource: Resources[T]): Uint8Array
  /**
   * Refuses what the model cannot express and a data plane must not ignore:
   * an unknown matcher is a problem, never "matches".
   */
  decode<T extends ResourceType>(type: T, bytes: Uint8Array): Decoded<Resources[T]>
  /** The resource as Envoy prints it in `/config_dump`: proto3 JSON, snake_case, `@type` first. */
  renderJson<T extends ResourceType>(type: T, resource: Resources[T]): JsonValue
}

/** Small values that all resources share: durations, shares, sources, addresses, provenance. */
import type {
  DescMessage,
  JsonObject,
  JsonValue,
  MessageInitShape,
  MessageShape,
} from '@bufbuild/protobuf'
import { create, toBinary } from '@bufbuild/protobuf'
import {
  type Any,
  anyIs,
  anyUnpack,
  type Duration,
  type DurationSchema,
} from '@bufbuild/protobuf/wkt'
import { isUnixSocket, type Origin, type SocketAddress } from '@weft/model'
import {
  type Address,
  type AddressSchema,
  SocketAddress_Protocol,
  SocketAddressSchema,
} from '../gen/envoy/config/core/v3/address_pb.js'
import type { Metadata, MetadataSchema } from '../gen/envoy/config/core/v3/base_pb.js'
import {
  ApiVersion,
  type ConfigSource,
  type ConfigSourceSchema,
} from '../gen/envoy/config/core/v3/config_source_pb.js'
import {
  FractionalPercent_DenominatorType as Denominator,
  type FractionalPercent,
  type FractionalPercentSchema,
} from '../gen/envoy/type/v3/percent_pb.js'
import { covers, type Problems, refuseOthers } from './problems.ts'

/** What a message can be made from. */
export type Init<Schema extends DescMessage> = MessageInitShape<Schema>

/** What a oneof of a message can be set to. */
export type OneofInit<Schema extends DescMessage, Name extends keyof Init<Schema>> = NonNullable<
  Init<Schema>[Name]
>

export function encodeDuration(ms: number): Init<typeof DurationSchema> {
  const seconds = Math.floor(ms / 1_000)
  return { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1_000) * 1e6) }
}

/** Milliseconds; `absent` where the field is not set. */
export function decodeDuration(duration: Duration | undefined, absent: number): number {
  if (duration === undefined) return absent
  return Number(duration.seconds) * 1_000 + duration.nanos / 1e6
}

/** Envoy knows hundredths, ten-thousandths and millionths; the finest keeps `0.0001`. */
export function encodePercent(percent: number): Init<typeof FractionalPercentSchema> {
  return Number.isInteger(percent)
    ? { numerator: percent, denominator: Denominator.HUNDRED }
    : { numerator: Math.round(percent * 10_000), denominator: Denominator.MILLION }
}

export function decodePercent(percent: FractionalPercent | undefined): number {
  if (percent === undefined) return 0
  const perPercent = {
    [Denominator.HUNDRED]: 1,
    [Denominator.TEN_THOUSAND]: 100,
    [Denominator.MILLION]: 10_000,
  }
  return Math.min(100, percent.numerator / perPercent[percent.denominator])
}

/**
 * The same stream that brought the resource. The same bytes everywhere: Envoy keys
 * its subscriptions by them (envoy#47309).
 */
export const FROM_ADS: Init<typeof ConfigSourceSchema> = {
  resourceApiVersion: ApiVersion.V3,
  configSourceSpecifier: { case: 'ads', value: {} },
}

export function checkFromAds(
  source: ConfigSource | undefined,
  path: string,
  problems: Problems,
): void {
  const kind = source?.configSourceSpecifier.case
  if (kind !== 'ads' && kind !== 'self') problems.add(path, 'only ads and self are supported')
}

export function packAny<Schema extends DescMessage>(
  schema: Schema,
  init: Init<Schema>,
): Init<typeof import('@bufbuild/protobuf/wkt').AnySchema> {
  return {
    typeUrl: `type.googleapis.com/${schema.typeName}`,
    value: toBinary(schema, create(schema, init)),
  }
}

/** The message inside, or `undefined` when it is of another type. */
export function unpackAny<Schema extends DescMessage>(
  any: Any | undefined,
  schema: Schema,
): MessageShape<Schema> | undefined {
  return any !== undefined && anyIs(any, schema) ? anyUnpack(any, schema) : undefined
}

export function encodeAddress(where: SocketAddress): Init<typeof AddressSchema> {
  const { host, port } = where
  if (isUnixSocket(where)) return { address: { case: 'pipe', value: { path: host } } }
  const value = { address: host, portSpecifier: { case: 'portValue', value: port } } as const
  return { address: { case: 'socketAddress', value } }
}

const SOCKET_ADDRESS = covers(
  SocketAddressSchema,
  'address',
  'port_value',
  'protocol',
  'ipv4_compat',
)

export function decodeAddress(
  address: Address | undefined,
  path: string,
  problems: Problems,
): SocketAddress {
  if (address?.address.case === 'pipe') {
    const { path: host, mode } = address.address.value
    const where = { host, port: 0 }
    if (!isUnixSocket(where)) problems.add(`${path}.pipe.path`, 'must be absolute, or @name')
    if (mode !== 0) problems.add(`${path}.pipe.mode`, 'is not supported')
    return where
  }
  if (address?.address.case !== 'socketAddress') {
    problems.add(
      path,
      `only socket_address and pipe are supported, got ${address?.address.case ?? 'nothing'}`,
    )
    return { host: '', port: 0 }
  }
  const socket = address.address.value
  refuseOthers(SOCKET_ADDRESS, socket, path, problems)
  if (socket.protocol !== SocketAddress_Protocol.TCP)
    problems.add(`${path}.protocol`, 'only TCP is supported')
  const port = socket.portSpecifier.case === 'portValue' ? socket.portSpecifier.value : 0
  return { host: socket.address, port }
}

/**
 * What Envoy has no field for travels in `filter_metadata["weft"]`: the user's objects that a
 * resource came from, and what is left over from the model.
 */
const WEFT = 'weft'

export type Extras = { readonly [key: string]: JsonValue | undefined }

export interface EncodeOptions {
  /** False for the version hash: a moved source line is no reason to push (xds.md O7). */
  readonly origins: boolean
}

export function encodeMetadata(
  origins: readonly Origin[],
  extras: Extras,
  options: EncodeOptions,
): Init<typeof MetadataSchema> | undefined {
  const weft: JsonObject = {}
  if (options.origins && origins.length > 0) weft.origins = origins.map(encodeOrigin)
  for (const [key, value] of Object.entries(extras)) if (value !== undefined) weft[key] = value
  return Object.keys(weft).length === 0 ? undefined : { filterMetadata: { [WEFT]: weft } }
}

export function weftMetadata(metadata: Metadata | undefined): JsonObject {
  return metadata?.filterMetadata[WEFT] ?? {}
}

export function encodeOrigin({ kind, namespace, name, path, file, line }: Origin): JsonObject {
  return {
    kind,
    namespace,
    name,
    ...(path === undefined ? {} : { path }),
    ...(file === undefined ? {} : { file }),
    ...(line === undefined ? {} : { line }),
  }
}

/** Origins are for people; what does not look like one is left out, never a reason to refuse. */
export function decodeOrigins(metadata: Metadata | undefined): Origin[] {
  return decodeOriginList(weftMetadata(metadata).origins)
}

export function decodeOriginList(origins: JsonValue | undefined): Origin[] {
  if (!Array.isArray(origins)) return []
  return origins.filter(isObject).map((origin) => ({
    kind: textOf(origin.kind),
    namespace: textOf(origin.namespace),
    name: textOf(origin.name),
    ...(typeof origin.path === 'string' ? { path: origin.path } : {}),
    ...(typeof origin.file === 'string' ? { file: origin.file } : {}),
    ...(typeof origin.line === 'number' ? { line: origin.line } : {}),
  }))
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : ''
}

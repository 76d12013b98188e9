/** Questions and answers of Envoy's authorization service (`envoy.service.auth.v3`) as plain values. */
import { create, fromBinary, type JsonObject, toBinary } from '@bufbuild/protobuf'
import type { SocketAddress } from '@weft/model'
import { encodeAddress } from '../codec/values.ts'
import {
  HeaderValueOption_HeaderAppendAction as AppendAction,
  type HeaderValueOption,
} from '../gen/envoy/config/core/v3/base_pb.js'
import {
  CheckRequestSchema,
  CheckResponseSchema,
} from '../gen/envoy/service/auth/v3/external_auth_pb.js'

export interface CheckQuestion {
  readonly source: CheckPeer
  readonly destination: CheckPeer
  /** Wall clock, milliseconds. */
  readonly timeMs: number
  readonly id: string
  readonly method: string
  /** With query. */
  readonly path: string
  readonly host: string
  readonly scheme: string
  readonly protocol: string
  /** By lower-case name; lines of one field are joined. */
  readonly headers: Readonly<Record<string, string>>
  /** Of the body, negative when it is not known. */
  readonly size: number
  readonly body?: Uint8Array
  readonly bodyAsBytes: boolean
  readonly context: Readonly<Record<string, string>>
  /** Plain data of filters, by their names. */
  readonly metadata: Readonly<Record<string, unknown>>
}

interface CheckPeer {
  readonly address: SocketAddress
  readonly principal: string
  /** URL-encoded PEM; empty: not told. */
  readonly certificate: string
}

interface HeaderChange {
  readonly name: string
  readonly value: string
  readonly how: 'set' | 'append' | 'addIfAbsent'
}

export type CheckAnswer =
  | {
      readonly allowed: true
      readonly headers: readonly HeaderChange[]
      readonly remove: readonly string[]
      /** For the client. */
      readonly responseHeaders: readonly HeaderChange[]
      readonly querySet: readonly { readonly name: string; readonly value: string }[]
      readonly queryRemove: readonly string[]
      readonly metadata: Readonly<Record<string, unknown>> | undefined
    }
  | {
      readonly allowed: false
      /** 0: the service names none. */
      readonly status: number
      readonly headers: readonly HeaderChange[]
      readonly body: string
      readonly metadata: Readonly<Record<string, unknown>> | undefined
    }

export interface CheckMessages {
  encodeCheckRequest(question: CheckQuestion): Uint8Array
  /** @throws On bytes that are no answer. */
  decodeCheckResponse(bytes: Uint8Array): CheckAnswer
}

export function encodeCheckRequest(question: CheckQuestion): Uint8Array {
  const { method, path, host, scheme, protocol, headers, id, timeMs, body } = question
  const seconds = Math.floor(timeMs / 1_000)
  const message = create(CheckRequestSchema, {
    attributes: {
      source: peer(question.source),
      destination: peer(question.destination),
      request: {
        time: { seconds: BigInt(seconds), nanos: Math.round((timeMs - seconds * 1_000) * 1e6) },
        http: {
          ...{ id, method, path, host, scheme, protocol, headers: { ...headers } },
          size: BigInt(question.size),
          ...(body === undefined
            ? {}
            : question.bodyAsBytes
              ? { rawBody: body }
              : { body: Buffer.from(body).toString('utf8') }),
        },
      },
      contextExtensions: { ...question.context },
      metadataContext: { filterMetadata: structs(question.metadata) },
    },
  })
  return toBinary(CheckRequestSchema, message)
}

function peer({ address, principal, certificate }: CheckPeer) {
  return { address: encodeAddress(address), principal, certificate }
}

/** Payloads of tokens are JSON already. */
function structs(metadata: Readonly<Record<string, unknown>>): { [filter: string]: JsonObject } {
  return JSON.parse(JSON.stringify(metadata))
}

export function decodeCheckResponse(bytes: Uint8Array): CheckAnswer {
  const { status, httpResponse, dynamicMetadata: metadata } = fromBinary(CheckResponseSchema, bytes)
  if (status?.code === 0 || (status === undefined && httpResponse.case === 'okResponse')) {
    const ok = httpResponse.case === 'okResponse' ? httpResponse.value : undefined
    return {
      allowed: true,
      headers: (ok?.headers ?? []).flatMap(change),
      remove: (ok?.headersToRemove ?? []).map((name) => name.toLowerCase()),
      responseHeaders: (ok?.responseHeadersToAdd ?? []).flatMap(change),
      querySet: (ok?.queryParametersToSet ?? []).map(({ key, value }) => ({ name: key, value })),
      queryRemove: ok?.queryParametersToRemove ?? [],
      metadata: metadata ?? ok?.dynamicMetadata,
    }
  }
  const denied = httpResponse.case === 'deniedResponse' ? httpResponse.value : undefined
  return {
    allowed: false,
    status: denied?.status?.code ?? 0,
    headers: (denied?.headers ?? []).flatMap(change),
    body: denied?.body ?? '',
    metadata,
  }
}

function change({ header, append, appendAction }: HeaderValueOption): readonly HeaderChange[] {
  if (header === undefined) return []
  const { key, value, rawValue } = header
  const text = value === '' ? Buffer.from(rawValue).toString('utf8') : value
  const how =
    append === true ? 'append' : appendAction === AppendAction.ADD_IF_ABSENT ? 'addIfAbsent' : 'set'
  return [{ name: key.toLowerCase(), value: text, how }]
}

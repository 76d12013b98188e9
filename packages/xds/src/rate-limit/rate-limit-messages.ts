/** Requests and answers of Envoy's rate limit service (`envoy.service.ratelimit.v3`) as plain values. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import type { DescriptorEntry } from '@weft/model'
import { decodeDuration } from '../codec/values.ts'
import {
  RateLimitResponse_Code as Code,
  RateLimitRequestSchema,
  type RateLimitResponse_DescriptorStatus,
  RateLimitResponseSchema,
  RateLimitResponse_RateLimit_Unit as Unit,
} from '../gen/envoy/service/ratelimit/v3/rls_pb.js'

export interface RateLimitAnswer {
  readonly overLimit: boolean
  /** The limit that is nearest; absent when none applies. */
  readonly nearest?: {
    readonly requestsPerUnit: number
    readonly unitSeconds: number
    readonly remaining: number
    readonly resetSeconds: number
  }
  /** For the client's answer. */
  readonly responseHeaders: readonly { readonly name: string; readonly value: string }[]
}

export interface RateLimitMessages {
  encodeRateLimitRequest(
    domain: string,
    descriptors: readonly (readonly DescriptorEntry[])[],
  ): Uint8Array
  /** @throws On bytes that are no answer. */
  decodeRateLimitResponse(bytes: Uint8Array): RateLimitAnswer
}

export function encodeRateLimitRequest(
  domain: string,
  descriptors: readonly (readonly DescriptorEntry[])[],
): Uint8Array {
  const message = create(RateLimitRequestSchema, {
    domain,
    descriptors: descriptors.map((entries) => ({
      entries: entries.map(({ key, value }) => ({ key, value })),
    })),
  })
  return toBinary(RateLimitRequestSchema, message)
}

export function decodeRateLimitResponse(bytes: Uint8Array): RateLimitAnswer {
  const { overallCode, statuses, responseHeadersToAdd } = fromBinary(RateLimitResponseSchema, bytes)
  let nearest: RateLimitAnswer['nearest']
  for (const status of statuses) {
    const read = readStatus(status)
    if (read !== undefined && (nearest === undefined || read.remaining < nearest.remaining)) {
      nearest = read
    }
  }
  return {
    overLimit: overallCode === Code.OVER_LIMIT,
    ...(nearest === undefined ? {} : { nearest }),
    responseHeaders: responseHeadersToAdd.map(({ key, value }) => ({
      name: key.toLowerCase(),
      value,
    })),
  }
}

function readStatus(status: RateLimitResponse_DescriptorStatus): RateLimitAnswer['nearest'] {
  const { currentLimit, limitRemaining, durationUntilReset } = status
  if (currentLimit === undefined) return undefined
  const unitSeconds = SECONDS[currentLimit.unit] ?? 0
  return {
    requestsPerUnit: currentLimit.requestsPerUnit,
    unitSeconds,
    remaining: limitRemaining,
    resetSeconds: Math.ceil(decodeDuration(durationUntilReset, unitSeconds * 1_000) / 1_000),
  }
}

const DAY = 86_400
const SECONDS: Readonly<Partial<Record<Unit, number>>> = {
  [Unit.SECOND]: 1,
  [Unit.MINUTE]: 60,
  [Unit.HOUR]: 3_600,
  [Unit.DAY]: DAY,
  [Unit.MONTH]: 30 * DAY,
  [Unit.YEAR]: 365 * DAY,
}

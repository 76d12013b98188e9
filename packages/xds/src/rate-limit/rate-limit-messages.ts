/** Requests and answers of Envoy's rate limit service (`envoy.service.ratelimit.v3`) as plain values. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import type { DescriptorEntry, LimitUnit } from '@weft/model'
import { decodeDuration, encodeDuration } from '../codec/values.ts'
import {
  RateLimitResponse_Code as Code,
  RateLimitRequestSchema,
  type RateLimitResponse_DescriptorStatus,
  RateLimitResponseSchema,
  RateLimitResponse_RateLimit_Unit as Unit,
} from '../gen/envoy/service/ratelimit/v3/rls_pb.js'
import { RateLimitUnit } from '../gen/envoy/type/v3/ratelimit_unit_pb.js'

export interface RateLimitAnswer {
  readonly overLimit: boolean
  /** The limit that is nearest; absent when none applies. */
  readonly nearest?: {
    readonly requestsPerUnit: number
    readonly unitSeconds: number
    readonly remaining: number
    readonly resetSeconds: number
    readonly resetMs: number
  }
  /** For the client's answer. */
  readonly responseHeaders: readonly { readonly name: string; readonly value: string }[]
}

/** What a proxy asks: may these hits, counted by each descriptor, go on? */
export interface RateLimitQuestion {
  readonly domain: string
  readonly descriptors: readonly CountedDescriptor[]
  /** At least 1; of descriptors that say nothing of their own. */
  readonly hits: number
}

export interface CountedDescriptor {
  readonly entries: readonly DescriptorEntry[]
  /** >= 0; absent: the question's. */
  readonly hits?: number
  /** In place of the limit that the service knows. */
  readonly limit?: { readonly requestsPerUnit: number; readonly unit: LimitUnit }
}

export interface RateLimitVerdict {
  /** In the order of the descriptors. */
  readonly statuses: readonly {
    readonly overLimit: boolean
    /** Absent: no limit is for this descriptor. */
    readonly limit?: {
      readonly requestsPerUnit: number
      readonly unitSeconds: number
      readonly remaining: number
      readonly resetMs: number
    }
  }[]
}

export interface RateLimitMessages {
  encodeRateLimitRequest(
    domain: string,
    descriptors: readonly CountedDescriptor[],
    hits?: number,
  ): Uint8Array
  /** @throws On bytes that are no answer. */
  decodeRateLimitResponse(bytes: Uint8Array): RateLimitAnswer
}

export function encodeRateLimitRequest(
  domain: string,
  descriptors: readonly CountedDescriptor[],
  hits = 1,
): Uint8Array {
  const message = create(RateLimitRequestSchema, {
    domain,
    // Absent it is one.
    hitsAddend: hits === 1 ? 0 : hits,
    descriptors: descriptors.map((one) => ({
      entries: one.entries.map(({ key, value }) => ({ key, value })),
      ...(one.hits === undefined ? {} : { hitsAddend: BigInt(one.hits) }),
      ...(one.limit === undefined
        ? {}
        : {
            limit: {
              requestsPerUnit: one.limit.requestsPerUnit,
              unit: RateLimitUnit[one.limit.unit],
            },
          }),
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

/** @throws On bytes that are no request. */
export function decodeRateLimitRequest(bytes: Uint8Array): RateLimitQuestion {
  const { domain, descriptors, hitsAddend } = fromBinary(RateLimitRequestSchema, bytes)
  return {
    domain,
    descriptors: descriptors.map((one) => ({
      entries: one.entries.map(({ key, value }) => ({ key, value })),
      ...(one.hitsAddend === undefined ? {} : { hits: Number(one.hitsAddend) }),
    })),
    hits: Math.max(1, hitsAddend),
  }
}

export function encodeRateLimitResponse({ statuses }: RateLimitVerdict): Uint8Array {
  const message = create(RateLimitResponseSchema, {
    overallCode: statuses.some(({ overLimit }) => overLimit) ? Code.OVER_LIMIT : Code.OK,
    statuses: statuses.map(({ overLimit, limit }) => ({
      code: overLimit ? Code.OVER_LIMIT : Code.OK,
      ...(limit === undefined
        ? {}
        : {
            currentLimit: {
              requestsPerUnit: limit.requestsPerUnit,
              unit: UNITS[limit.unitSeconds] ?? Unit.UNKNOWN,
            },
            limitRemaining: limit.remaining,
            durationUntilReset: encodeDuration(limit.resetMs),
          }),
    })),
  })
  return toBinary(RateLimitResponseSchema, message)
}

const UNITS: Readonly<Partial<Record<number, Unit>>> = {
  1: Unit.SECOND,
  60: Unit.MINUTE,
  3600: Unit.HOUR,
  86400: Unit.DAY,
}

function readStatus(status: RateLimitResponse_DescriptorStatus): RateLimitAnswer['nearest'] {
  const { currentLimit, limitRemaining, durationUntilReset } = status
  if (currentLimit === undefined) return undefined
  const unitSeconds = SECONDS[currentLimit.unit] ?? 0
  const resetMs = decodeDuration(durationUntilReset, unitSeconds * 1_000)
  return {
    requestsPerUnit: currentLimit.requestsPerUnit,
    unitSeconds,
    remaining: limitRemaining,
    resetSeconds: Math.ceil(resetMs / 1_000),
    resetMs,
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

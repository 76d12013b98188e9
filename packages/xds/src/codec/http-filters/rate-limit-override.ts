/** A limit that holds in place of the service's own ⇄ `envoy.config.route.v3.RateLimit.Override`. */
import type { LimitOverride, LimitUnit } from '@weft/model'
import {
  type RateLimit_Override,
  RateLimit_Override_DynamicMetadataSchema,
  RateLimit_Override_RateLimitOverrideSchema,
  type RateLimit_OverrideSchema,
} from '../../gen/envoy/config/route/v3/route_components_pb.js'
import { RateLimitUnit } from '../../gen/envoy/type/v3/ratelimit_unit_pb.js'
import { covers, type Problems, refuseOthers } from '../problems.ts'
import type { Init } from '../values.ts'

const FIXED = covers(RateLimit_Override_RateLimitOverrideSchema, 'requests_per_unit', 'unit')
const METADATA = covers(RateLimit_Override_DynamicMetadataSchema, 'metadata_key')

export function encodeOverride(limit: LimitOverride): Init<typeof RateLimit_OverrideSchema> {
  if (limit.kind === 'fixed') {
    const { requestsPerUnit, unit } = limit
    const value = { requestsPerUnit, unit: RateLimitUnit[unit] }
    return { overrideSpecifier: { case: 'rateLimit', value } }
  }
  const path = limit.path.map((key) => ({ segment: { case: 'key', value: key } as const }))
  const value = { metadataKey: { key: limit.filter, path } }
  return { overrideSpecifier: { case: 'dynamicMetadata', value } }
}

export function decodeOverride(
  proto: RateLimit_Override | undefined,
  path: string,
  problems: Problems,
): { readonly limit?: LimitOverride } {
  if (proto === undefined) return {}
  const { overrideSpecifier: override } = proto
  switch (override.case) {
    case 'rateLimit': {
      const { requestsPerUnit, unit } = override.value
      refuseOthers(FIXED, override.value, `${path}.rate_limit`, problems)
      if (unit === RateLimitUnit.UNKNOWN || RateLimitUnit[unit] === undefined) {
        problems.add(`${path}.rate_limit.unit`, 'needs a unit that is known')
        return {}
      }
      return { limit: { kind: 'fixed', requestsPerUnit, unit: RateLimitUnit[unit] as LimitUnit } }
    }
    case 'dynamicMetadata': {
      refuseOthers(METADATA, override.value, `${path}.dynamic_metadata`, problems)
      const { metadataKey } = override.value
      const steps = metadataKey?.path.flatMap(({ segment }) => segment.value ?? []) ?? []
      if (metadataKey === undefined || steps.length === 0) {
        problems.add(`${path}.dynamic_metadata.metadata_key`, 'needs a key and a path')
        return {}
      }
      return { limit: { kind: 'metadata', filter: metadataKey.key, path: steps } }
    }
    default:
      problems.add(path, 'needs rate_limit or dynamic_metadata')
      return {}
  }
}

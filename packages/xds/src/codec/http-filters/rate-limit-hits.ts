/** What a request costs of a descriptor ⇄ `envoy.config.route.v3.RateLimit.HitsAddend`. */
import type { HitsAddend } from '@weft/model'
import {
  type RateLimit_HitsAddend,
  RateLimit_HitsAddendSchema,
} from '../../gen/envoy/config/route/v3/route_components_pb.js'
import { covers, type Problems, refuseOthers } from '../problems.ts'
import type { Init } from '../values.ts'

const HITS = covers(RateLimit_HitsAddendSchema, 'number', 'format')
/** The operators that name one text of the request. */
const HEADER_HITS = /^%REQ\(([\w-]+)\)%$/i
const METADATA_HITS = /^%DYNAMIC_METADATA\(([^:()]+(?::[^:()]+)+)\)%$/

export function encodeHits(hits: HitsAddend): Init<typeof RateLimit_HitsAddendSchema> {
  switch (hits.kind) {
    case 'fixed':
      return { number: BigInt(hits.hits) }
    case 'header':
      return { format: `%REQ(${hits.header})%` }
    case 'metadata':
      return { format: `%DYNAMIC_METADATA(${[hits.filter, ...hits.path].join(':')})%` }
  }
}

export function decodeHits(
  proto: RateLimit_HitsAddend | undefined,
  path: string,
  problems: Problems,
): { readonly hits?: HitsAddend } {
  if (proto === undefined) return {}
  refuseOthers(HITS, proto, path, problems)
  if (proto.number !== undefined) return { hits: { kind: 'fixed', hits: Number(proto.number) } }
  const [, header] = HEADER_HITS.exec(proto.format) ?? []
  if (header !== undefined) return { hits: { kind: 'header', header: header.toLowerCase() } }
  const [filter, ...steps] = METADATA_HITS.exec(proto.format)?.[1]?.split(':') ?? []
  if (filter !== undefined) return { hits: { kind: 'metadata', filter, path: steps } }
  problems.add(
    `${path}.format`,
    'only %REQ(name)% and %DYNAMIC_METADATA(filter:key…)% are supported',
  )
  return {}
}

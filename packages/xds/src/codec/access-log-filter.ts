/** Which requests a log is about ⇄ Envoy's `AccessLogFilter`. */
import type { AccessLogFilter } from '@weft/model'
import {
  type AccessLogFilterSchema,
  type ComparisonFilter,
  type ComparisonFilterSchema,
  type AccessLogFilter as FilterProto,
  type GrpcStatusFilter_Status as GrpcStatus,
  ComparisonFilter_Op as Op,
} from '../gen/envoy/config/accesslog/v3/accesslog_pb.js'
import { AccessLogType } from '../gen/envoy/data/accesslog/v3/accesslog_pb.js'
import { decodeHeaderMatch, encodeHeaderMatch } from './matchers.ts'
import type { Problems } from './problems.ts'
import type { Init } from './values.ts'

type Comparison = Extract<AccessLogFilter, { readonly kind: 'status' | 'duration' }>

const OPS = { atLeast: Op.GE, equal: Op.EQ, atMost: Op.LE } as const

export function encodeFilter(filter: AccessLogFilter): Init<typeof AccessLogFilterSchema> {
  return { filterSpecifier: encodeSpecifier(filter) }
}

type SpecifierInit = NonNullable<Init<typeof AccessLogFilterSchema>['filterSpecifier']>

function encodeSpecifier(filter: AccessLogFilter): SpecifierInit {
  switch (filter.kind) {
    case 'status':
      return { case: 'statusCodeFilter', value: { comparison: encodeComparison(filter) } }
    case 'duration':
      return { case: 'durationFilter', value: { comparison: encodeComparison(filter) } }
    case 'responseFlag':
      return { case: 'responseFlagFilter', value: { flags: [...filter.flags] } }
    case 'header':
      return { case: 'headerFilter', value: { header: encodeHeaderMatch(filter.match) } }
    case 'grpcStatus':
      return {
        case: 'grpcStatusFilter',
        // Numbers of gRPC, and of this enumeration.
        value: { statuses: [...filter.statuses] as GrpcStatus[], exclude: filter.exclude },
      }
    case 'logType':
      return {
        case: 'logTypeFilter',
        value: { types: filter.types.flatMap(logTypeNumber), exclude: filter.exclude },
      }
    case 'and':
      return { case: 'andFilter', value: { filters: filter.filters.map(encodeFilter) } }
    case 'or':
      return { case: 'orFilter', value: { filters: filter.filters.map(encodeFilter) } }
  }
}

function logTypeNumber(name: string): AccessLogType[] {
  const found = AccessLogType[name as keyof typeof AccessLogType]
  return found === undefined ? [] : [found]
}

/** Envoy wants a runtime key beside every value; nobody sets that one. */
const RUNTIME_KEY = 'weft.access_log'

function encodeComparison({ op, value }: Comparison): Init<typeof ComparisonFilterSchema> {
  return { op: OPS[op], value: { defaultValue: value, runtimeKey: RUNTIME_KEY } }
}

export function decodeFilter(
  { filterSpecifier: proto }: FilterProto,
  path: string,
  problems: Problems,
): AccessLogFilter | undefined {
  switch (proto.case) {
    case 'statusCodeFilter':
      return decodeComparison('status', proto.value.comparison, path, problems)
    case 'durationFilter':
      return decodeComparison('duration', proto.value.comparison, path, problems)
    case 'responseFlagFilter':
      return { kind: 'responseFlag', flags: proto.value.flags }
    case 'headerFilter': {
      const { header } = proto.value
      if (header === undefined) break
      return { kind: 'header', match: decodeHeaderMatch(header, `${path}.header`, problems) }
    }
    case 'grpcStatusFilter': {
      const { statuses, exclude } = proto.value
      return { kind: 'grpcStatus', statuses: statuses.map(Number), exclude }
    }
    case 'logTypeFilter': {
      const { types, exclude } = proto.value
      const names = types.map((type) => AccessLogType[type] ?? '')
      if (names.includes('')) problems.add(`${path}.types`, 'has one that is not known')
      return { kind: 'logType', types: names, exclude }
    }
    case 'andFilter':
      return { kind: 'and', filters: decodeAll(proto.value.filters, path, problems) }
    case 'orFilter':
      return { kind: 'or', filters: decodeAll(proto.value.filters, path, problems) }
    default:
  }
  problems.add(path, `${proto.case ?? 'a filter without a specifier'} is not supported`)
  return undefined
}

function decodeAll(
  filters: readonly FilterProto[],
  path: string,
  problems: Problems,
): AccessLogFilter[] {
  return filters.flatMap((filter, index) => {
    const decoded = decodeFilter(filter, `${path}.filters[${index}]`, problems)
    return decoded === undefined ? [] : [decoded]
  })
}

function decodeComparison(
  kind: Comparison['kind'],
  comparison: ComparisonFilter | undefined,
  path: string,
  problems: Problems,
): AccessLogFilter {
  const value = comparison?.value?.defaultValue ?? 0
  switch (comparison?.op) {
    case Op.EQ:
      return { kind, op: 'equal', value }
    case Op.LE:
      return { kind, op: 'atMost', value }
    case Op.GE:
      return { kind, op: 'atLeast', value }
    default:
      problems.add(path, 'needs a comparison that is known')
      return { kind, op: 'atLeast', value }
  }
}

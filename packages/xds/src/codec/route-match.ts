/**
 * Which requests a route takes ⇄ Envoy's `RouteMatch`.
 *
 * Envoy's `path_separated_prefix` cannot say `/` or end in `/`. Those become a plain prefix, which
 * means the same, and the model's own text travels in the route's metadata.
 */
import type { JsonObject } from '@bufbuild/protobuf'
import type { ClaimMatch, PathMatch, RouteMatch } from '@weft/model'
import {
  type RouteMatch as RouteMatchProto,
  RouteMatchSchema,
} from '../gen/envoy/config/route/v3/route_components_pb.js'
import type { MetadataMatcher } from '../gen/envoy/type/matcher/v3/metadata_pb.js'
import {
  decodeHeaderMatch,
  decodeQueryMatch,
  decodeRegex,
  encodeHeaderMatch,
  encodeQueryMatch,
} from './matchers.ts'
import { covers, type Problems, refuseOthers } from './problems.ts'
import { decodeMetadataMatch, encodeClaim } from './rbac-metadata.ts'
import { type Extras, type Init, type OneofInit, textOf } from './values.ts'

const IGNORE_CASE = '(?i)'
const SEPARATED_PREFIX = /^[^?#]+[^?#/]$/

interface EncodedMatch {
  readonly init: Init<typeof RouteMatchSchema>
  readonly extras: Extras
}

export function encodeRouteMatch(match: RouteMatch): EncodedMatch {
  const { path } = match
  const caseSensitive = 'ignoreCase' in path && path.kind !== 'regex' && path.ignoreCase
  return {
    init: {
      pathSpecifier: encodePath(path),
      ...(caseSensitive ? { caseSensitive: false } : {}),
      headers: match.headers.map(encodeHeaderMatch),
      queryParameters: match.query.map(encodeQueryMatch),
      dynamicMetadata: (match.claims ?? []).map((claim) => ({
        ...encodeClaim({ kind: 'claim', path: claim.path, value: claim.value }),
        invert: claim.invert,
      })),
    },
    extras: path.kind === 'segments' && !isSeparated(path.value) ? { segments: path.value } : {},
  }
}

function isSeparated(value: string): boolean {
  return SEPARATED_PREFIX.test(value)
}

function encodePath(path: PathMatch): OneofInit<typeof RouteMatchSchema, 'pathSpecifier'> {
  switch (path.kind) {
    case 'exact':
      return { case: 'path', value: path.value }
    case 'prefix':
      return { case: 'prefix', value: path.value }
    case 'segments': {
      if (isSeparated(path.value)) return { case: 'pathSeparatedPrefix', value: path.value }
      const trimmed = path.value.replace(/\/+$/, '')
      return isSeparated(trimmed)
        ? { case: 'pathSeparatedPrefix', value: trimmed }
        : { case: 'prefix', value: path.value }
    }
    case 'regex':
      // Envoy's `case_sensitive` does not reach into expressions.
      return {
        case: 'safeRegex',
        value: { regex: path.ignoreCase ? IGNORE_CASE + path.value : path.value },
      }
    case 'connect':
      return { case: 'connectMatcher', value: {} }
  }
}

const MATCH = covers(
  RouteMatchSchema,
  ...['prefix', 'path', 'safe_regex', 'connect_matcher', 'path_separated_prefix'],
  ...['case_sensitive', 'headers', 'query_parameters', 'dynamic_metadata'],
)

export function decodeRouteMatch(
  proto: RouteMatchProto | undefined,
  extras: JsonObject,
  path: string,
  problems: Problems,
): RouteMatch {
  if (proto === undefined) {
    problems.add(path, 'is missing')
    return { path: { kind: 'connect' }, headers: [], query: [] }
  }
  refuseOthers(MATCH, proto, path, problems)
  const claims = proto.dynamicMetadata.flatMap((one, index) =>
    decodeClaim(one, `${path}.dynamic_metadata[${index}]`, problems),
  )
  return {
    ...(claims.length === 0 ? {} : { claims }),
    path: decodePath(proto, extras, path, problems),
    headers: proto.headers.map((header, index) =>
      decodeHeaderMatch(header, `${path}.headers[${index}]`, problems),
    ),
    query: proto.queryParameters.map((query, index) =>
      decodeQueryMatch(query, `${path}.query_parameters[${index}]`, problems),
    ),
  }
}

/** Of what filters leave behind, routes know claims alone. */
function decodeClaim(
  proto: MetadataMatcher,
  path: string,
  problems: Problems,
): readonly ClaimMatch[] {
  const { invert } = proto
  const found = decodeMetadataMatch({ ...proto, invert: false }, path, problems)
  if (found.kind === 'claim') return [{ path: found.path, value: found.value, invert }]
  problems.add(path, 'only claims of a token, as text or list, are supported')
  return []
}

function decodePath(
  proto: RouteMatchProto,
  extras: JsonObject,
  path: string,
  problems: Problems,
): PathMatch {
  const ignoreCase = proto.caseSensitive === false
  const specifier = proto.pathSpecifier
  switch (specifier.case) {
    case 'path':
      return { kind: 'exact', value: specifier.value, ignoreCase }
    case 'prefix':
    case 'pathSeparatedPrefix': {
      if ('segments' in extras)
        return { kind: 'segments', value: textOf(extras.segments), ignoreCase }
      const kind = specifier.case === 'prefix' ? 'prefix' : 'segments'
      return { kind, value: specifier.value, ignoreCase }
    }
    case 'safeRegex': {
      const regex = decodeRegex(specifier.value, `${path}.safe_regex`, problems)
      return regex.startsWith(IGNORE_CASE)
        ? { kind: 'regex', value: regex.slice(IGNORE_CASE.length), ignoreCase: true }
        : { kind: 'regex', value: regex, ignoreCase: false }
    }
    case 'connectMatcher':
      return { kind: 'connect' }
    default:
      problems.add(path, 'has no path specifier that is known')
      return { kind: 'connect' }
  }
}

/** Permissions and principals ⇄ Envoy's. What is not known is a problem, never a match (R54). */
import type { ClaimPredicate, Permission, Principal } from '@weft/model'
import type { CidrRange, CidrRangeSchema } from '../gen/envoy/config/core/v3/address_pb.js'
import {
  Permission_SetSchema,
  type Permission as PermissionProto,
  PermissionSchema,
  Principal_AuthenticatedSchema,
  Principal_SetSchema,
  type Principal as PrincipalProto,
  PrincipalSchema,
} from '../gen/envoy/config/rbac/v3/rbac_pb.js'
import { UriTemplateMatchConfigSchema } from '../gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js'
import { type PathMatcher, PathMatcherSchema } from '../gen/envoy/type/matcher/v3/path_pb.js'
import { Int32RangeSchema } from '../gen/envoy/type/v3/range_pb.js'
import { decodeHeaderMatch, decodeString, encodeHeaderMatch, encodeString } from './matchers.ts'
import { covers, type Problems, refuseOthers } from './problems.ts'
import { decodeMetadataMatch, encodeClaim, encodeMetadataMatch } from './rbac-metadata.ts'
import { type Init, packAny, unpackAny } from './values.ts'

type PermissionInit = Init<typeof PermissionSchema>
type PrincipalInit = Init<typeof PrincipalSchema>

const URI_TEMPLATE = 'envoy.path.match.uri_template.uri_template_matcher'
const ISSUER = 'iss'

export function encodePermission(permission: Permission): PermissionInit {
  switch (permission.kind) {
    case 'any':
      return { rule: { case: 'any', value: true } }
    case 'allOf':
    case 'oneOf': {
      const value = { rules: permission.of.map(encodePermission) }
      return { rule: { case: permission.kind === 'allOf' ? 'andRules' : 'orRules', value } }
    }
    case 'not':
      return { rule: { case: 'notRule', value: encodePermission(permission.of) } }
    case 'header':
      return { rule: { case: 'header', value: encodeHeaderMatch(permission.match) } }
    case 'path':
      return { rule: { case: 'urlPath', value: encodePath(encodeString(permission.value)) } }
    case 'pathTemplate': {
      const pathTemplate = permission.template.replaceAll(/\{(\*\*?)\}/g, '$1')
      const typedConfig = packAny(UriTemplateMatchConfigSchema, { pathTemplate })
      return { rule: { case: 'uriTemplate', value: { name: URI_TEMPLATE, typedConfig } } }
    }
    case 'claim':
      return permission.issuer === undefined
        ? { rule: { case: 'metadata', value: encodeClaim(permission) } }
        : encodePermission({ kind: 'allOf', of: issuedBy(permission, permission.issuer) })
    case 'metadata':
      return { rule: { case: 'metadata', value: encodeMetadataMatch(permission) } }
    case 'destinationIp':
      return { rule: { case: 'destinationIp', value: encodeCidr(permission.range) } }
    case 'destinationPort': {
      const { from, to } = permission
      if (from === to) return { rule: { case: 'destinationPort', value: from } }
      return { rule: { case: 'destinationPortRange', value: { start: from, end: to + 1 } } }
    }
    case 'serverName':
      return { rule: { case: 'requestedServerName', value: encodeString(permission.value) } }
  }
}

export function encodePrincipal(principal: Principal): PrincipalInit {
  switch (principal.kind) {
    case 'any':
      return { identifier: { case: 'any', value: true } }
    case 'allOf':
    case 'oneOf': {
      const value = { ids: principal.of.map(encodePrincipal) }
      return { identifier: { case: principal.kind === 'allOf' ? 'andIds' : 'orIds', value } }
    }
    case 'not':
      return { identifier: { case: 'notId', value: encodePrincipal(principal.of) } }
    case 'header':
      return { identifier: { case: 'header', value: encodeHeaderMatch(principal.match) } }
    case 'path':
      return { identifier: { case: 'urlPath', value: encodePath(encodeString(principal.value)) } }
    case 'pathTemplate': {
      // Envoy's principals have no templates.
      const value = encodeString({ kind: 'regex', value: templateRegex(principal.template) })
      return { identifier: { case: 'urlPath', value: encodePath(value) } }
    }
    case 'claim':
      return principal.issuer === undefined
        ? { identifier: { case: 'metadata', value: encodeClaim(principal) } }
        : encodePrincipal({ kind: 'allOf', of: issuedBy(principal, principal.issuer) })
    case 'metadata':
      return { identifier: { case: 'metadata', value: encodeMetadataMatch(principal) } }
    case 'authenticated': {
      const { name } = principal
      const value = name === undefined ? {} : { principalName: encodeString(name) }
      return { identifier: { case: 'authenticated', value } }
    }
    case 'sourceIp':
      return { identifier: { case: 'directRemoteIp', value: encodeCidr(principal.range) } }
    case 'remoteIp':
      return { identifier: { case: 'remoteIp', value: encodeCidr(principal.range) } }
  }
}

function templateRegex(template: string): string {
  return template
    .split(/(\{\*\*?\})/)
    .map((part) => {
      if (part === '{*}') return '[^/]+'
      return part === '{**}' ? '.*' : part.replace(/[.*+?^$()|[\]\\{}]/g, '\\$&')
    })
    .join('')
}

function encodePath(path: ReturnType<typeof encodeString>): Init<typeof PathMatcherSchema> {
  return { rule: { case: 'path', value: path } }
}

/** Envoy keeps one token's payload, so both claims are of the same one. */
function issuedBy({ path, value }: ClaimPredicate, issuer: string): readonly ClaimPredicate[] {
  return [
    {
      kind: 'claim',
      path: [ISSUER],
      value: { kind: 'exact', value: issuer, ignoreCase: false },
    },
    { kind: 'claim', path, value },
  ]
}

/** The other way round; `undefined` for any other pair. */
function claimIssuedBy(parts: readonly (Permission | Principal)[]): ClaimPredicate | undefined {
  const [first, second, more] = parts
  if (first?.kind !== 'claim' || second?.kind !== 'claim' || more !== undefined) return undefined
  const { path, value, issuer } = first
  if (issuer !== undefined || second.issuer !== undefined) return undefined
  if (path.length !== 1 || path[0] !== ISSUER || value.kind !== 'exact') return undefined
  return value.ignoreCase ? undefined : { ...second, issuer: value.value }
}

/** Without a length, the whole address. */
function encodeCidr(text: string): Init<typeof CidrRangeSchema> {
  const [addressPrefix = '', length] = text.split('/')
  const bits = addressPrefix.includes(':') ? 128 : 32
  return { addressPrefix, prefixLen: length === undefined ? bits : Number(length) }
}

function decodeCidr({ addressPrefix, prefixLen }: CidrRange): string {
  return `${addressPrefix}/${prefixLen ?? 0}`
}

const PERMISSION = covers(
  PermissionSchema,
  ...['and_rules', 'or_rules', 'any', 'header', 'url_path', 'destination_ip', 'destination_port'],
  ...['destination_port_range', 'metadata', 'not_rule', 'requested_server_name', 'uri_template'],
)
const PERMISSIONS = covers(Permission_SetSchema, 'rules')
const RANGE = covers(Int32RangeSchema, 'start', 'end')
const NOBODY = { kind: 'not', of: { kind: 'any' } } as const

export function decodePermission(
  proto: PermissionProto,
  path: string,
  problems: Problems,
): Permission {
  refuseOthers(PERMISSION, proto, path, problems)
  const { rule } = proto
  switch (rule.case) {
    case 'any':
      if (!rule.value) problems.add(`${path}.any`, 'must be true')
      return { kind: 'any' }
    case 'andRules':
    case 'orRules': {
      refuseOthers(PERMISSIONS, rule.value, path, problems)
      const of = rule.value.rules.map((one, index) =>
        decodePermission(one, `${path}.rules[${index}]`, problems),
      )
      if (of.length === 0) problems.add(path, 'has an empty set')
      if (rule.case === 'orRules') return { kind: 'oneOf', of }
      return claimIssuedBy(of) ?? { kind: 'allOf', of }
    }
    case 'notRule':
      return { kind: 'not', of: decodePermission(rule.value, `${path}.not_rule`, problems) }
    case 'header':
      return {
        kind: 'header',
        match: decodeHeaderMatch(rule.value, `${path}.header`, problems),
      }
    case 'urlPath':
      return decodePath(rule.value, `${path}.url_path`, problems)
    case 'uriTemplate': {
      const template = unpackAny(rule.value.typedConfig, UriTemplateMatchConfigSchema)
      if (template === undefined) problems.add(`${path}.uri_template`, 'is of an unknown type')
      return { kind: 'pathTemplate', template: bracesOf(template?.pathTemplate, path, problems) }
    }
    case 'metadata':
      return decodeMetadata(rule.value, `${path}.metadata`, problems)
    case 'destinationIp':
      return { kind: 'destinationIp', range: decodeCidr(rule.value) }
    case 'destinationPort':
      return { kind: 'destinationPort', from: rule.value, to: rule.value }
    case 'destinationPortRange':
      refuseOthers(RANGE, rule.value, path, problems)
      return { kind: 'destinationPort', from: rule.value.start, to: rule.value.end - 1 }
    case 'requestedServerName':
      return {
        kind: 'serverName',
        value: decodeString(rule.value, `${path}.requested_server_name`, problems),
      }
    default:
      problems.add(path, 'has no rule that is known')
      return NOBODY
  }
}

const PRINCIPAL = covers(
  PrincipalSchema,
  ...['and_ids', 'or_ids', 'any', 'authenticated', 'direct_remote_ip', 'remote_ip', 'header'],
  ...['url_path', 'metadata', 'not_id'],
)
const PRINCIPALS = covers(Principal_SetSchema, 'ids')
const AUTHENTICATED = covers(Principal_AuthenticatedSchema, 'principal_name')

export function decodePrincipal(
  proto: PrincipalProto,
  path: string,
  problems: Problems,
): Principal {
  refuseOthers(PRINCIPAL, proto, path, problems)
  const { identifier } = proto
  switch (identifier.case) {
    case 'any':
      if (!identifier.value) problems.add(`${path}.any`, 'must be true')
      return { kind: 'any' }
    case 'andIds':
    case 'orIds': {
      refuseOthers(PRINCIPALS, identifier.value, path, problems)
      const of = identifier.value.ids.map((one, index) =>
        decodePrincipal(one, `${path}.ids[${index}]`, problems),
      )
      if (of.length === 0) problems.add(path, 'has an empty set')
      if (identifier.case === 'orIds') return { kind: 'oneOf', of }
      return claimIssuedBy(of) ?? { kind: 'allOf', of }
    }
    case 'notId':
      return { kind: 'not', of: decodePrincipal(identifier.value, `${path}.not_id`, problems) }
    case 'header':
      return {
        kind: 'header',
        match: decodeHeaderMatch(identifier.value, `${path}.header`, problems),
      }
    case 'urlPath':
      return decodePath(identifier.value, `${path}.url_path`, problems)
    case 'metadata':
      return decodeMetadata(identifier.value, `${path}.metadata`, problems)
    case 'authenticated': {
      refuseOthers(AUTHENTICATED, identifier.value, `${path}.authenticated`, problems)
      const { principalName } = identifier.value
      if (principalName === undefined) return { kind: 'authenticated' }
      const name = decodeString(principalName, `${path}.authenticated.principal_name`, problems)
      return { kind: 'authenticated', name }
    }
    case 'directRemoteIp':
      return { kind: 'sourceIp', range: decodeCidr(identifier.value) }
    case 'remoteIp':
      return { kind: 'remoteIp', range: decodeCidr(identifier.value) }
    default:
      problems.add(path, 'has no identifier that is known')
      return NOBODY
  }
}

const PATH = covers(PathMatcherSchema, 'path')

function decodePath(proto: PathMatcher, path: string, problems: Problems) {
  refuseOthers(PATH, proto, path, problems)
  const value = proto.rule.case === 'path' ? proto.rule.value : undefined
  return { kind: 'path', value: decodeString(value, `${path}.path`, problems) } as const
}

function decodeMetadata(
  proto: Parameters<typeof decodeMetadataMatch>[0],
  path: string,
  problems: Problems,
) {
  if (!proto.invert) return decodeMetadataMatch(proto, path, problems)
  const of = decodeMetadataMatch({ ...proto, invert: false }, path, problems)
  return { kind: 'not', of } as const
}

/** Envoy's variables, such as `{name=*}`, have no counterpart. */
function bracesOf(template: string | undefined, path: string, problems: Problems): string {
  if (template === undefined) return '/'
  if (/[{}]/.test(template)) problems.add(`${path}.uri_template`, 'variables are not supported')
  const segments = template.split('/')
  if (segments.some((one) => one.includes('*') && one !== '*' && one !== '**')) {
    problems.add(`${path}.uri_template`, 'only whole segments may be * or **')
  }
  return segments.map((one) => (one === '*' || one === '**' ? `{${one}}` : one)).join('/')
}

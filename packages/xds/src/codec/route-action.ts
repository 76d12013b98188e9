/** What a route does with its requests ⇄ Envoy's `RouteAction`, `RedirectAction`, `DirectResponseAction`. */
import type { JsonObject } from '@bufbuild/protobuf'
import type {
  ForwardAction,
  HostRewrite,
  RedirectAction,
  RespondAction,
  RouteAction,
  RouteMatch,
} from '@weft/model'
import {
  DirectResponseActionSchema,
  RedirectActionSchema,
  RedirectAction_RedirectResponseCode as RedirectCode,
  type RedirectAction as RedirectProto,
  type RouteAction as RouteActionProto,
  RouteActionSchema,
  type Route as RouteProto,
  type RouteSchema,
} from '../gen/envoy/config/route/v3/route_components_pb.js'
import { decodeHashPolicy, decodeMirror, encodeHashPolicy, encodeMirror } from './forward-extras.ts'
import { decodeRegexRewrite, encodeRewrite } from './path-rewrite.ts'
import { covers, type Problems, refuseOthers } from './problems.ts'
import { decodeRetryPolicy, encodeRetryPolicy } from './retry-policy.ts'
import {
  decodeHedge,
  decodeStreamDuration,
  encodeHedge,
  encodeStreamDuration,
} from './stream-limits.ts'
import { decodeDuration, type Extras, encodeDuration, type Init, type OneofInit } from './values.ts'
import { decodeTargets, encodeTargets } from './weighted-targets.ts'

type ActionInit = OneofInit<typeof RouteSchema, 'action'>

interface EncodedAction {
  readonly init: ActionInit
  readonly extras: Extras
}

export function encodeAction(action: RouteAction, match: RouteMatch): EncodedAction {
  switch (action.kind) {
    case 'forward':
      return encodeForward(action, match)
    case 'redirect':
      return encodeRedirect(action, match)
    case 'respond':
      return { init: { case: 'directResponse', value: encodeRespond(action) }, extras: {} }
  }
}

export function decodeAction(
  action: RouteProto['action'],
  extras: JsonObject,
  path: string,
  problems: Problems,
): RouteAction {
  switch (action.case) {
    case 'route':
      return decodeForward(action.value, extras, `${path}.route`, problems)
    case 'redirect':
      return decodeRedirect(action.value, extras, `${path}.redirect`, problems)
    case 'directResponse': {
      const { status, body } = action.value
      refuseOthers(RESPOND, action.value, `${path}.direct_response`, problems)
      const source = body?.specifier
      if (source?.case === 'inlineString') return { kind: 'respond', status, body: source.value }
      if (source?.case === 'inlineBytes') {
        return { kind: 'respond', status, body: Buffer.from(source.value).toString('utf8') }
      }
      if (source?.case !== undefined) {
        problems.add(`${path}.direct_response.body`, 'only inline bodies are supported')
      }
      return { kind: 'respond', status, body: '' }
    }
    default:
      problems.add(path, `action ${action.case ?? '(none)'} is not supported`)
      return { kind: 'respond', status: 500, body: '' }
  }
}

const RESPOND = covers(DirectResponseActionSchema, 'status', 'body')

function encodeRespond({ status, body }: RespondAction): Init<typeof DirectResponseActionSchema> {
  return body === ''
    ? { status }
    : { status, body: { specifier: { case: 'inlineString', value: body } } }
}

function encodeForward(action: ForwardAction, match: RouteMatch): EncodedAction {
  const targets = encodeTargets(action.targets)
  const rewrite =
    action.pathRewrite === undefined ? undefined : encodeRewrite(action.pathRewrite, match)
  const value: Init<typeof RouteActionSchema> = {
    clusterSpecifier: targets.init,
    timeout: encodeDuration(action.timeoutMs),
    ...(action.idleTimeoutMs === undefined
      ? {}
      : { idleTimeout: encodeDuration(action.idleTimeoutMs) }),
    ...(action.retry === undefined ? {} : { retryPolicy: encodeRetryPolicy(action.retry) }),
    ...(action.hostRewrite === undefined
      ? {}
      : { hostRewriteSpecifier: encodeHostRewrite(action.hostRewrite) }),
    ...(rewrite?.kind === 'prefix' ? { prefixRewrite: rewrite.value } : {}),
    ...(rewrite?.kind === 'regex' ? { regexRewrite: rewrite.value } : {}),
    requestMirrorPolicies: action.mirrors.map(encodeMirror),
    hashPolicy: action.hashPolicies.map(encodeHashPolicy),
    ...encodeStreamDuration(action),
    ...(action.hedge === undefined ? {} : { hedgePolicy: encodeHedge(action.hedge) }),
    // A CONNECT request that is routed ends here: what follows is raw TCP to the endpoint.
    ...(match.path.kind === 'connect'
      ? { upgradeConfigs: [{ upgradeType: 'CONNECT', connectConfig: {} }] }
      : {}),
  }
  const rewritePrefix = rewrite?.kind === 'regex' ? rewrite.prefixText : undefined
  const hedge = action.hedge === undefined ? {} : { hedge: { ...action.hedge } }
  const retry = action.retry?.otherPriorities === true ? { retryOtherPriorities: true } : {}
  const extras = { ...targets.extras, rewritePrefix, ...hedge, ...retry }
  return { init: { case: 'route', value }, extras }
}

function encodeHostRewrite(
  rewrite: HostRewrite,
): OneofInit<typeof RouteActionSchema, 'hostRewriteSpecifier'> {
  return rewrite.kind === 'literal'
    ? { case: 'hostRewriteLiteral', value: rewrite.value }
    : { case: 'autoHostRewrite', value: { value: true } }
}

const FORWARD = covers(
  RouteActionSchema,
  ...['cluster', 'weighted_clusters', 'prefix_rewrite', 'regex_rewrite', 'host_rewrite_literal'],
  ...['auto_host_rewrite', 'timeout', 'idle_timeout', 'retry_policy', 'request_mirror_policies'],
  ...['hash_policy', 'rate_limits', 'upgrade_configs', 'hedge_policy'],
  // Caps a timeout that only gRPC clients ask for; ours is a cap already. 503 is our only answer.
  ...['max_grpc_timeout', 'grpc_timeout_offset', 'max_stream_duration'],
  'cluster_not_found_response_code',
)

/** Envoy's default, in milliseconds. */
const DEFAULT_TIMEOUT_MS = 15_000

function decodeForward(
  proto: RouteActionProto,
  extras: JsonObject,
  path: string,
  problems: Problems,
): ForwardAction {
  refuseOthers(FORWARD, proto, path, problems)
  checkUpgrades(proto, path, problems)
  const pathRewrite =
    proto.regexRewrite !== undefined
      ? decodeRegexRewrite(proto.regexRewrite, extras)
      : proto.prefixRewrite === ''
        ? undefined
        : ({ kind: 'prefix', value: proto.prefixRewrite } as const)
  const hostRewrite = decodeHostRewrite(proto)
  return {
    kind: 'forward',
    targets: decodeTargets(proto, extras, path, problems),
    timeoutMs: decodeDuration(proto.timeout, DEFAULT_TIMEOUT_MS),
    ...(proto.idleTimeout === undefined
      ? {}
      : { idleTimeoutMs: decodeDuration(proto.idleTimeout, 0) }),
    ...(proto.retryPolicy === undefined
      ? {}
      : {
          retry: {
            ...decodeRetryPolicy(proto.retryPolicy, `${path}.retry_policy`, problems),
            ...(extras.retryOtherPriorities === true ? { otherPriorities: true } : {}),
          },
        }),
    ...(hostRewrite === undefined ? {} : { hostRewrite }),
    ...(pathRewrite === undefined ? {} : { pathRewrite }),
    mirrors: proto.requestMirrorPolicies.map((mirror, index) =>
      decodeMirror(mirror, `${path}.request_mirror_policies[${index}]`, problems),
    ),
    hashPolicies: proto.hashPolicy.map((policy, index) =>
      decodeHashPolicy(policy, `${path}.hash_policy[${index}]`, problems),
    ),
    ...decodeStreamDuration(proto, path, problems),
    ...decodeHedge(proto, extras, path, problems),
  }
}

function checkUpgrades(proto: RouteActionProto, path: string, problems: Problems): void {
  for (const upgrade of proto.upgradeConfigs) {
    const terminates = upgrade.upgradeType.toUpperCase() === 'CONNECT' && upgrade.enabled !== false
    if (!terminates || upgrade.connectConfig === undefined) {
      problems.add(`${path}.upgrade_configs`, `${upgrade.upgradeType} is not supported per route`)
    } else if (upgrade.connectConfig.proxyProtocolConfig !== undefined) {
      problems.add(`${path}.upgrade_configs.connect_config`, 'PROXY protocol is not supported')
    }
  }
}

function decodeHostRewrite({ hostRewriteSpecifier }: RouteActionProto): HostRewrite | undefined {
  if (hostRewriteSpecifier.case === 'hostRewriteLiteral') {
    return { kind: 'literal', value: hostRewriteSpecifier.value }
  }
  const auto = hostRewriteSpecifier.case === 'autoHostRewrite' && hostRewriteSpecifier.value.value
  return auto ? { kind: 'endpoint' } : undefined
}

const REDIRECT_CODES = {
  301: RedirectCode.MOVED_PERMANENTLY,
  302: RedirectCode.FOUND,
  303: RedirectCode.SEE_OTHER,
  307: RedirectCode.TEMPORARY_REDIRECT,
  308: RedirectCode.PERMANENT_REDIRECT,
} as const satisfies Record<RedirectAction['status'], RedirectCode>

const REDIRECT_STATUSES = [301, 302, 303, 307, 308] as const

function encodeRedirect(action: RedirectAction, match: RouteMatch): EncodedAction {
  const { scheme, path } = action
  // A redirect can replace the whole path without a regular expression.
  const rewrite =
    path === undefined || path.kind === 'full' ? undefined : encodeRewrite(path, match)
  const pathRewriteSpecifier: OneofInit<typeof RedirectActionSchema, 'pathRewriteSpecifier'> =
    path?.kind === 'full'
      ? { case: 'pathRedirect', value: path.value }
      : rewrite?.kind === 'prefix'
        ? { case: 'prefixRewrite', value: rewrite.value }
        : rewrite?.kind === 'regex'
          ? { case: 'regexRewrite', value: rewrite.value }
          : { case: undefined }
  const value: Init<typeof RedirectActionSchema> = {
    responseCode: REDIRECT_CODES[action.status],
    ...(scheme === undefined
      ? {}
      : { schemeRewriteSpecifier: { case: 'schemeRedirect', value: scheme } }),
    hostRedirect: action.host ?? '',
    portRedirect: action.port ?? 0,
    pathRewriteSpecifier,
    stripQuery: action.stripQuery,
  }
  const rewritePrefix = rewrite?.kind === 'regex' ? rewrite.prefixText : undefined
  return { init: { case: 'redirect', value }, extras: { rewritePrefix } }
}

const REDIRECT = covers(
  RedirectActionSchema,
  ...['https_redirect', 'scheme_redirect', 'host_redirect', 'port_redirect', 'path_redirect'],
  ...['prefix_rewrite', 'regex_rewrite', 'response_code', 'strip_query'],
)

function decodeRedirect(
  proto: RedirectProto,
  extras: JsonObject,
  path: string,
  problems: Problems,
): RedirectAction {
  refuseOthers(REDIRECT, proto, path, problems)
  const status = REDIRECT_STATUSES.find((code) => REDIRECT_CODES[code] === proto.responseCode)
  if (status === undefined) problems.add(`${path}.response_code`, 'is not known')
  const scheme = decodeScheme(proto, path, problems)
  const rewrite = decodeRedirectPath(proto, extras)
  return {
    kind: 'redirect',
    status: status ?? 301,
    ...(scheme === undefined ? {} : { scheme }),
    ...(proto.hostRedirect === '' ? {} : { host: proto.hostRedirect }),
    ...(proto.portRedirect === 0 ? {} : { port: proto.portRedirect }),
    ...(rewrite === undefined ? {} : { path: rewrite }),
    stripQuery: proto.stripQuery,
  }
}

function decodeScheme(
  { schemeRewriteSpecifier }: RedirectProto,
  path: string,
  problems: Problems,
): 'http' | 'https' | undefined {
  if (schemeRewriteSpecifier.case === 'httpsRedirect') {
    return schemeRewriteSpecifier.value ? 'https' : undefined
  }
  const scheme = schemeRewriteSpecifier.value
  if (scheme === undefined || scheme === 'http' || scheme === 'https') return scheme
  problems.add(`${path}.scheme_redirect`, `${scheme} is not supported`)
  return undefined
}

function decodeRedirectPath(
  { pathRewriteSpecifier }: RedirectProto,
  extras: JsonObject,
): RedirectAction['path'] {
  switch (pathRewriteSpecifier.case) {
    case 'pathRedirect':
      return { kind: 'full', value: pathRewriteSpecifier.value }
    case 'prefixRewrite':
      return { kind: 'prefix', value: pathRewriteSpecifier.value }
    case 'regexRewrite':
      return decodeRegexRewrite(pathRewriteSpecifier.value, extras)
    default:
      return undefined
  }
}

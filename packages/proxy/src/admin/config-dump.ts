/**
 * The configuration in force, in the shape of Envoy's `ConfigDump`, resource by
 * resource through the same codec as the wire. Private keys are never shown.
 */
import { unreachable } from '@weft/base'
import { type Resources, type ResourceType, renderAddress } from '@weft/model'
import type { ConfigSource } from '../proxy-options.ts'
import {
  type AdminEndpoint,
  type Configuration,
  JSON_TYPE,
  type ProxyView,
  textAnswer,
} from './endpoint.ts'
import { parseNameFilter } from './name-filter.ts'

/** How Envoy files each type. `field` is what `?resource=` names. */
const SECTIONS = [
  { type: 'cluster', dump: 'ClustersConfigDump', field: 'dynamic_active_clusters', key: 'cluster' },
  { type: 'listener', dump: 'ListenersConfigDump', field: 'dynamic_listeners', key: 'listener' },
  {
    type: 'route',
    dump: 'RoutesConfigDump',
    field: 'dynamic_route_configs',
    key: 'route_config',
  },
  { type: 'secret', dump: 'SecretsConfigDump', field: 'dynamic_active_secrets', key: 'secret' },
  {
    type: 'endpoints',
    dump: 'EndpointsConfigDump',
    field: 'dynamic_endpoint_configs',
    key: 'endpoint_config',
  },
] as const satisfies readonly {
  type: ResourceType
  dump: string
  field: string
  key: string
}[]

type Section = (typeof SECTIONS)[number]

export const configDump: AdminEndpoint = {
  path: '/config_dump',
  method: 'GET',
  summary: 'dump the configuration in force (endpoints with ?include_eds)',
  parameters: {
    resource: 'only this field, e.g. dynamic_listeners; answers its resources as a list',
    name_regex: 'only resources whose name matches (RE2)',
    include_eds: 'endpoints too',
  },
  answer(request, proxy) {
    const { query } = request
    const hasName = parseNameFilter(query.get('name_regex'))
    if (hasName === undefined) return textAnswer('name_regex is not a regular expression\n', 400)
    const field = query.get('resource')
    if (field !== null) {
      const section = SECTIONS.find((candidate) => candidate.field === field)
      if (section === undefined) {
        const known = SECTIONS.map((candidate) => candidate.field).join(', ')
        return textAnswer(`${field} not found in config dump; there are: ${known}\n`, 404)
      }
      return { status: 200, contentType: JSON_TYPE, body: renderField(proxy, section, hasName) }
    }
    const sections = SECTIONS.filter(({ type }) => type !== 'endpoints' || query.has('include_eds'))
    return { status: 200, contentType: JSON_TYPE, body: renderDump(proxy, sections, hasName) }
  },
}

function* renderDump(
  proxy: ProxyView,
  sections: readonly Section[],
  hasName: (name: string) => boolean,
): Generator<string> {
  yield `{"configs":[\n${JSON.stringify(bootstrapOf(proxy))}`
  for (const section of sections) {
    yield `,\n{"@type":"type.googleapis.com/envoy.admin.v3.${section.dump}"`
    const version = sectionVersion(proxy.configuration(), section.type)
    if (section.type === 'cluster' || section.type === 'listener') {
      yield `,"version_info":${JSON.stringify(version)}`
    }
    yield `,"${section.field}":[`
    yield* separated(resourcesOf(proxy, section, hasName))
    yield ']}'
  }
  yield ']}\n'
}

function* renderField(
  proxy: ProxyView,
  section: Section,
  hasName: (name: string) => boolean,
): Generator<string> {
  yield '{"configs":['
  for (const piece of separated(resourcesOf(proxy, section, hasName, true))) yield piece
  yield ']}\n'
}

function* separated(pieces: Iterable<string>): Generator<string> {
  let separator = '\n'
  for (const piece of pieces) {
    yield separator + piece
    separator = ',\n'
  }
}

/** @param typed Whether each stands alone and says what message it is. */
function* resourcesOf(
  proxy: ProxyView,
  section: Section,
  hasName: (name: string) => boolean,
  typed = false,
): Generator<string> {
  const configuration = proxy.configuration()
  const rejections = new Map(
    proxy
      .rejections()
      .filter(({ type }) => type === section.type)
      .map((rejection) => [rejection.name, rejection]),
  )
  const accepted = configuration?.update.set[section.type] ?? new Map<string, never>()
  for (const name of new Set([...accepted.keys(), ...rejections.keys()])) {
    if (!hasName(name)) continue
    const resource = accepted.get(name)
    const rejection = rejections.get(name)
    const active =
      resource === undefined || configuration === undefined
        ? {}
        : activeState(proxy, configuration, section, name, resource)
    const failed =
      rejection === undefined
        ? {}
        : {
            error_state: {
              last_update_attempt: new Date(rejection.atMs).toISOString(),
              details: rejection.problem,
              version_info: rejection.version,
            },
          }
    const type = typed
      ? { '@type': `type.googleapis.com/envoy.admin.v3.${messageOf(section)}` }
      : {}
    yield JSON.stringify(
      section.type === 'listener'
        ? {
            ...type,
            name,
            ...(resource === undefined ? {} : { active_state: active }),
            ...failed,
            client_status: statusOf(resource !== undefined, rejection !== undefined),
          }
        : {
            ...type,
            ...(section.type === 'secret' ? { name } : {}),
            ...active,
            ...failed,
            client_status: statusOf(resource !== undefined, rejection !== undefined),
          },
    )
  }
}

function activeState(
  proxy: ProxyView,
  configuration: Configuration,
  section: Section,
  name: string,
  resource: Resources[ResourceType],
): Readonly<Record<string, unknown>> {
  const { type, key } = section
  const changedAtMs = configuration.changedAtMs.get(`${type}/${name}`)
  return {
    version_info: configuration.update.versions[type].get(name) ?? '',
    [key]: proxy.codec.renderJson(type, withoutKey(type, resource)),
    ...(changedAtMs === undefined ? {} : { last_updated: new Date(changedAtMs).toISOString() }),
  }
}

/** A certificate's private key has no business in a dump (Envoy redacts it the same way). */
function withoutKey<T extends ResourceType>(type: T, resource: Resources[T]): Resources[T] {
  if (type !== 'secret') return resource
  const secret = resource as Resources['secret']
  return (
    secret.kind === 'certificate' ? { ...secret, keyPem: '[redacted]' } : secret
  ) as Resources[T]
}

function statusOf(accepted: boolean, rejected: boolean): string {
  if (rejected) return 'NACKED'
  return accepted ? 'ACKED' : 'REQUESTED'
}

function messageOf(section: Section): string {
  const messages = {
    cluster: 'ClustersConfigDump.DynamicCluster',
    listener: 'ListenersConfigDump.DynamicListener',
    route: 'RoutesConfigDump.DynamicRouteConfig',
    secret: 'SecretsConfigDump.DynamicSecret',
    endpoints: 'EndpointsConfigDump.DynamicEndpointConfig',
  } as const
  return messages[section.type]
}

/** A version of the whole section: there is one only when all its resources agree. */
function sectionVersion(configuration: Configuration | undefined, type: ResourceType): string {
  const versions = new Set(configuration?.update.versions[type].values())
  return versions.size === 1 ? ([...versions][0] ?? '') : ''
}

function bootstrapOf(proxy: ProxyView): unknown {
  const { node, options } = proxy
  return {
    '@type': 'type.googleapis.com/envoy.admin.v3.BootstrapConfigDump',
    bootstrap: {
      node: {
        id: node.id,
        cluster: node.cluster,
        metadata: node.metadata,
        user_agent_name: node.userAgentName,
      },
      dynamic_resources: sourceJson(options.source),
    },
    last_updated: new Date(
      proxy.clock.nowMs() - (proxy.clock.monotonicMs() - proxy.startedAtMs),
    ).toISOString(),
  }
}

function sourceJson(source: ConfigSource): unknown {
  switch (source.kind) {
    case 'ads': {
      const { connect } = source
      return {
        ads_config: { api_type: 'DELTA_GRPC', transport_api_version: 'V3' },
        // Envoy names a cluster here; our client has none for it.
        weft_connect: 'path' in connect ? connect.path : renderAddress(connect),
      }
    }
    case 'files':
      return { path_config_source: { path: source.path } }
    case 'feed':
      return {}
    default:
      return unreachable(source)
  }
}

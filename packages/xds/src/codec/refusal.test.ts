/** What the model cannot say must be refused with the name of the field, never ignored (R54). */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import type { ResourceType } from '@weft/model'
import { ClusterSchema } from '../gen/envoy/config/cluster/v3/cluster_pb.js'
import { ClusterLoadAssignmentSchema } from '../gen/envoy/config/endpoint/v3/endpoint_pb.js'
import { ListenerSchema } from '../gen/envoy/config/listener/v3/listener_pb.js'
import type { RouteMatchSchema } from '../gen/envoy/config/route/v3/route_components_pb.js'
import { RouteConfigurationSchema } from '../gen/envoy/config/route/v3/route_pb.js'
import { SecretSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js'
import { codec } from './codec.ts'

function problems<Desc extends DescMessage>(
  type: ResourceType,
  schema: Desc,
  init: MessageInitShape<Desc>,
): string {
  const decoded = codec.decode(type, toBinary(schema, create(schema, init)))
  return decoded.ok ? '' : decoded.problems.join('\n')
}

function routeProblems(match: MessageInitShape<typeof RouteMatchSchema>, action = {}): string {
  return problems('route', RouteConfigurationSchema, {
    name: 'r',
    virtualHosts: [
      {
        name: 'v',
        domains: ['*'],
        routes: [
          {
            match,
            action: {
              case: 'route',
              value: { clusterSpecifier: { case: 'cluster', value: 'c' }, ...action },
            },
          },
        ],
      },
    ],
  })
}

const anyPath = { case: 'prefix', value: '/' } as const

describe('a route is refused', () => {
  test('never for nothing', () => assert.equal(routeProblems({ pathSpecifier: anyPath }), ''))

  test('when it has a matcher that is not supported', () => {
    const text = routeProblems({ pathSpecifier: anyPath, runtimeFraction: {} })
    assert.match(text, /virtual_hosts\[v\]\.routes\[0\]\.match\.runtime_fraction: is not supported/)
  })

  test('even when that matcher is empty', () => {
    assert.match(
      routeProblems({ pathSpecifier: anyPath, tlsContext: new Uint8Array() }),
      /tls_context/,
    )
  })

  test('when it has a matcher that is newer than our protos', () => {
    const match = { pathSpecifier: anyPath, $unknown: [] }
    const table = create(RouteConfigurationSchema, {
      name: 'r',
      virtualHosts: [
        {
          name: 'v',
          domains: ['*'],
          routes: [
            {
              match,
              action: {
                case: 'route',
                value: { clusterSpecifier: { case: 'cluster', value: 'c' } },
              },
            },
          ],
        },
      ],
    })
    const route = table.virtualHosts[0]?.routes[0]
    if (route?.match === undefined) throw new Error('no match')
    route.match.$unknown = [{ no: 99, wireType: 2, data: new Uint8Array([1, 120]) }]
    const decoded = codec.decode('route', toBinary(RouteConfigurationSchema, table))
    assert.match(decoded.ok ? '' : decoded.problems.join(), /field number 99 of .*RouteMatch/)
  })

  test('when a header matcher compares in a way that is not supported', () => {
    const header = {
      name: 'x',
      headerMatchSpecifier: { case: 'rangeMatch', value: new Uint8Array() },
    }
    assert.match(
      routeProblems({ pathSpecifier: anyPath, headers: [header as never] }),
      /headers\[0\]\.range_match/,
    )
  })

  test('when an inverted predicate would not match a missing header, as ours does', () => {
    const header = {
      name: 'x',
      invertMatch: true,
      headerMatchSpecifier: {
        case: 'stringMatch',
        value: { matchPattern: { case: 'exact', value: 'a' } },
      },
    } as const
    assert.match(
      routeProblems({ pathSpecifier: anyPath, headers: [header] }),
      /treat_missing_header_as_empty/,
    )
  })

  test('when it retries on something that is not known', () => {
    const retryPolicy = { retryOn: '5xx,on-full-moon' }
    assert.match(routeProblems({ pathSpecifier: anyPath }, { retryPolicy }), /on-full-moon/)
  })

  test('when a header value is a command', () => {
    const requestHeadersToAdd = [{ header: { key: 'x', value: '%REQ(y)%' } }]
    const text = problems('route', RouteConfigurationSchema, {
      name: 'r',
      virtualHosts: [{ name: 'v', domains: ['*'], requestHeadersToAdd }],
    })
    assert.match(text, /command operators/)
  })

  test('when a filter configuration is of another filter', () => {
    const any = {
      typeUrl: 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute',
    }
    const text = problems('route', RouteConfigurationSchema, {
      name: 'r',
      virtualHosts: [{ name: 'v', domains: ['*'], typedPerFilterConfig: { rbac: any } }],
    })
    assert.match(text, /typed_per_filter_config/)
  })
})

describe('a listener is refused', () => {
  test('when it has a filter that changes who gets in', () => {
    const typedConfig = {
      typeUrl: 'type.googleapis.com/envoy.extensions.filters.network.ext_authz.v3.ExtAuthz',
    }
    const filter = {
      name: 'ext_authz',
      configType: { case: 'typedConfig', value: typedConfig },
    } as const
    const text = problems('listener', ListenerSchema, {
      name: 'l',
      address: { address: { case: 'socketAddress', value: { address: '::1' } } },
      filterChains: [{ filters: [filter] }],
    })
    assert.match(text, /filters\[0\]: ext_authz is not supported/)
  })

  test('when it has no address', () => {
    assert.match(problems('listener', ListenerSchema, { name: 'l' }), /address/)
  })
})

describe('a cluster is refused', () => {
  test('when its transport socket is not known: it could mean plain text', () => {
    const typedConfig = { typeUrl: 'type.googleapis.com/x.Y' }
    const text = problems('cluster', ClusterSchema, {
      name: 'c',
      transportSocket: { name: 'alts', configType: { case: 'typedConfig', value: typedConfig } },
    })
    assert.match(text, /transport_socket: alts is not supported/)
  })

  test('when its endpoints come from elsewhere', () => {
    const edsConfig = { configSourceSpecifier: { case: 'path', value: '/x' } } as const
    const text = problems('cluster', ClusterSchema, {
      name: 'c',
      clusterDiscoveryType: { case: 'type', value: 3 },
      edsClusterConfig: { edsConfig },
    })
    assert.match(text, /eds_config: only ads and self/)
  })
})

test('endpoints are refused when an address is none', () => {
  const text = problems('endpoints', ClusterLoadAssignmentSchema, {
    clusterName: 'c',
    endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: 'endpointName', value: 'x' } }] }],
  })
  assert.match(text, /endpoint_name: is not supported/)
})

test('a secret is refused when it names a file', () => {
  const source = { specifier: { case: 'filename', value: '/etc/key' } } as const
  const text = problems('secret', SecretSchema, {
    name: 's',
    type: {
      case: 'tlsCertificate',
      value: { certificateChain: source, privateKey: source },
    },
  })
  assert.match(text, /private_key\.filename: is not supported/)
})

/** A part of a rule that we cannot honour refuses the listener: skipped it would match everybody (R54). */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import type { RbacPolicy } from '@weft/model'
import { ListenerSchema } from '../gen/envoy/config/listener/v3/listener_pb.js'
import type {
  PermissionSchema,
  PolicySchema,
  PrincipalSchema,
} from '../gen/envoy/config/rbac/v3/rbac_pb.js'
import { RBACSchema } from '../gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js'
import { TcpProxySchema } from '../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js'
import { codec } from './codec.ts'
import { packAny } from './values.ts'

const ANY_PERMISSION = { rule: { case: 'any', value: true } } as const
const ANY_PRINCIPAL = { identifier: { case: 'any', value: true } } as const

function decoded(policy: MessageInitShape<typeof PolicySchema>) {
  const filter = (name: string, value: ReturnType<typeof packAny>) => ({
    name,
    configType: { case: 'typedConfig', value } as const,
  })
  const listener = create(ListenerSchema, {
    name: 'l',
    address: { address: { case: 'socketAddress', value: { address: '::1' } } },
    filterChains: [
      {
        filters: [
          filter(
            'rbac',
            packAny(RBACSchema, { statPrefix: 'tcp.', rules: { policies: { p: policy } } }),
          ),
          filter(
            'tcp_proxy',
            packAny(TcpProxySchema, { clusterSpecifier: { case: 'cluster', value: 'c' } }),
          ),
        ],
      },
    ],
  })
  return codec.decode('listener', toBinary(ListenerSchema, listener))
}

function policyOf(policy: MessageInitShape<typeof PolicySchema>): RbacPolicy | undefined {
  const result = decoded(policy)
  assert.ok(result.ok, JSON.stringify(result))
  return result.resource.filterChains[0]?.rbac?.[0].rules?.policies[0]
}

function refused(policy: MessageInitShape<typeof PolicySchema>): string {
  const result = decoded(policy)
  return result.ok ? '' : result.problems.join('\n')
}

const permission = (rule: MessageInitShape<typeof PermissionSchema>) =>
  refused({ permissions: [rule], principals: [ANY_PRINCIPAL] })
const principal = (one: MessageInitShape<typeof PrincipalSchema>) =>
  refused({ permissions: [ANY_PERMISSION], principals: [one] })

describe('a policy is refused', () => {
  test('when it has no permission or no principal', () => {
    assert.match(refused({ principals: [ANY_PRINCIPAL] }), /needs a permission and a principal/)
    assert.match(refused({ permissions: [ANY_PERMISSION] }), /needs a permission and a principal/)
  })

  test('when it has a condition', () => {
    const condition = new Uint8Array([8, 1])
    const text = refused({
      permissions: [ANY_PERMISSION],
      principals: [ANY_PRINCIPAL],
      condition,
    })
    assert.match(text, /policies\[p\]\.condition: is not supported/)
  })

  test('when a permission is empty, of an unknown kind or an extension', () => {
    assert.match(permission({}), /permissions\[0\]: has no rule that is known/)
    const matcher = { name: 'upstream_ip_port', typedConfig: { typeUrl: 'type.googleapis.com/x' } }
    assert.match(
      permission({ rule: { case: 'matcher', value: matcher } }),
      /matcher: is not supported/,
    )
    assert.match(permission({ rule: { case: 'andRules', value: {} } }), /has an empty set/)
    const template = { case: 'uriTemplate', value: matcher } as const
    assert.match(permission({ rule: template }), /uri_template: is of an unknown type/)
  })

  test('when a principal is empty, deprecated or reads what we do not keep', () => {
    assert.match(principal({}), /principals\[0\]: has no identifier that is known/)
    const sourceIp = { case: 'sourceIp', value: { addressPrefix: '10.0.0.0' } } as const
    assert.match(principal({ identifier: sourceIp }), /source_ip: is not supported/)
    const filterState = { case: 'filterState', value: new Uint8Array() } as const
    assert.match(principal({ identifier: filterState }), /filter_state: is not supported/)
  })

  test('R54: when something deep inside of it is not known', () => {
    const deep: MessageInitShape<typeof PrincipalSchema> = {
      identifier: {
        case: 'notId',
        value: {
          identifier: {
            case: 'header',
            value: {
              name: 'a',
              headerMatchSpecifier: { case: 'rangeMatch', value: { start: 1n, end: 2n } },
            },
          },
        },
      },
    }
    assert.match(principal(deep), /not_id\.header\.range_match: is not supported/)
  })
})

test('a matcher of metadata that is inverted is read as its opposite', () => {
  const policy = policyOf({
    permissions: [ANY_PERMISSION],
    principals: [
      {
        identifier: {
          case: 'metadata',
          value: {
            filter: 'envoy.filters.http.jwt_authn',
            path: ['payload', 'iss'].map((value) => ({ segment: { case: 'key', value } as const })),
            value: { matchPattern: { case: 'presentMatch', value: true } },
            invert: true,
          },
        },
      },
    ],
  })
  assert.deepEqual(policy?.principals, [
    { kind: 'not', of: { kind: 'claim', path: ['iss'], value: { kind: 'present' } } },
  ])
})

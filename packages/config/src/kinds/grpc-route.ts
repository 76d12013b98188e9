/**
 * `GRPCRoute` of gateway.networking.k8s.io (v1), both channels: calls told apart
 * by gRPC service, method and metadata.
 */

import {
  defaulted,
  type Infer,
  integer,
  list,
  object,
  oneOfValues,
  required,
  string,
  withRules,
} from '../schema/schema.ts'
import {
  backendFields,
  group,
  headerName,
  headerValue,
  hostname,
  kind,
  objectName,
  sectionName,
  withServicePort,
} from './gateway-api-common.ts'
import { headerModifier, matchesType, once, requestMirror } from './http-route-filters.ts'
import { parentRefs } from './parent-refs.ts'
import { sessionPersistence } from './session-persistence.ts'

const method = withRules(
  object({
    type: defaulted(oneOfValues('Exact', 'RegularExpression'), 'Exact'),
    service: string({ maxLength: 1024 }),
    method: string({ maxLength: 1024 }),
  }),
  {
    cel: 'has(self.type) ? has(self.service) || has(self.method) : true',
    message: 'service, method or both must be given; leave the match out to take every call',
  },
  {
    cel: '(self.type == \'Exact\' && has(self.service)) ? self.service.matches(r"""^\\.?[A-Za-z_][A-Za-z_0-9]*(\\.[A-Za-z_][A-Za-z_0-9]*)*$""") : true',
    message: 'must be the full name of a gRPC service, e.g. shop.v1.Orders',
    field: 'service',
  },
  {
    cel: '(self.type == \'Exact\' && has(self.method)) ? self.method.matches(r"""^[A-Za-z_][A-Za-z_0-9]*$""") : true',
    message: 'must be the name of a gRPC method, e.g. Place',
    field: 'method',
  },
)

const match = object({
  method,
  headers: list(
    object({
      type: defaulted(oneOfValues('Exact', 'RegularExpression'), 'Exact'),
      name: required(headerName),
      value: required(headerValue),
    }),
    { maxItems: 16, keys: ['name'] },
  ),
})

const filter = withRules(
  object({
    type: required(
      oneOfValues(
        'RequestHeaderModifier',
        'ResponseHeaderModifier',
        'RequestMirror',
        'ExtensionRef',
      ),
    ),
    requestHeaderModifier: headerModifier,
    responseHeaderModifier: headerModifier,
    requestMirror,
    extensionRef: object({
      group: required(group),
      kind: required(kind),
      name: required(objectName),
    }),
  }),
  ...matchesType('RequestHeaderModifier', 'requestHeaderModifier'),
  ...matchesType('ResponseHeaderModifier', 'responseHeaderModifier'),
  ...matchesType('RequestMirror', 'requestMirror'),
  ...matchesType('ExtensionRef', 'extensionRef'),
)

const filters = withRules(
  list(filter, { maxItems: 16 }),
  once('RequestHeaderModifier'),
  once('ResponseHeaderModifier'),
)

const rule = object({
  name: sectionName,
  matches: list(match, { maxItems: 64 }),
  filters,
  backendRefs: list(
    withServicePort(
      object({
        ...backendFields,
        weight: defaulted(integer({ min: 0, max: 1_000_000 }), 1),
        filters,
      }),
    ),
    { maxItems: 16 },
  ),
  sessionPersistence,
})

const rules = withRules(list(rule, { maxItems: 16 }), {
  cel: 'self.all(l1, !has(l1.name) || self.exists_one(l2, has(l2.name) && l1.name == l2.name))',
  message: 'two rules have the same name',
})

export const grpcRoute = object({
  parentRefs,
  hostnames: list(hostname, { maxItems: 16 }),
  rules,
  useDefaultGateways: oneOfValues('All', 'None'),
})

export type GrpcRoute = Infer<typeof grpcRoute>
export type GrpcRouteRule = Infer<typeof rule>
export type GrpcRouteMatch = Infer<typeof match>

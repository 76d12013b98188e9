/**
 * `TLSRoute` and `TCPRoute` of gateway.networking.k8s.io (v1, v1alpha2, v1alpha3):
 * connections that are passed on as bytes, told apart by server name or not at all.
 */

import {
  defaulted,
  type Infer,
  integer,
  list,
  object,
  oneOfValues,
  required,
  withRules,
} from '../schema/schema.ts'
import { backendFields, hostname, sectionName, withServicePort } from './gateway-api-common.ts'
import { parentRefs } from './parent-refs.ts'

const rule = object({
  name: sectionName,
  backendRefs: required(
    list(
      withServicePort(
        object({ ...backendFields, weight: defaulted(integer({ min: 0, max: 1_000_000 }), 1) }),
      ),
      { minItems: 1, maxItems: 16 },
    ),
  ),
})

const rules = required(list(rule, { minItems: 1, maxItems: 1 }))

export const tlsRoute = object({
  parentRefs,
  hostnames: required(
    withRules(list(hostname, { minItems: 1, maxItems: 1024 }), {
      cel: 'self.all(h, !h.matches(r"""^[0-9]+(\\.[0-9]+){3}$"""))',
      message: 'server names must not be IP addresses (RFC 6066)',
    }),
  ),
  rules,
  useDefaultGateways: oneOfValues('All', 'None'),
})

export const tcpRoute = object({
  parentRefs,
  rules,
  useDefaultGateways: oneOfValues('All', 'None'),
})

export type TlsRoute = Infer<typeof tlsRoute>
export type TcpRoute = Infer<typeof tcpRoute>
export type StreamRouteRule = Infer<typeof rule>

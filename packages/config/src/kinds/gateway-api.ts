/**
 * `GatewayClass`, `Gateway` and `ReferenceGrant` of gateway.networking.k8s.io
 * (v1, v1beta1), both channels. `HTTPRoute` has its own file. Rules that the CRD
 * states for a whole list are stated for its items where that names the culprit.
 */

import {
  defaulted,
  type Infer,
  list,
  map,
  object,
  oneOfValues,
  required,
  type Schema,
  string,
  withRules,
} from '../schema/schema.ts'
import {
  group,
  hostname,
  kind,
  labelSelector,
  namespace,
  objectName,
  portNumber,
  sectionName,
} from './gateway-api-common.ts'

export const gatewayClass = object({
  controllerName: required(
    string({
      minLength: 1,
      maxLength: 253,
      pattern:
        /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$/,
      patternHint: 'must be a domain and a path, e.g. weft.io/gateway-controller',
    }),
  ),
  parametersRef: object({
    group: required(group),
    kind: required(kind),
    name: required(objectName),
    namespace,
  }),
  description: string({ maxLength: 64 }),
})

const secretRef = object({
  group: defaulted(group, ''),
  kind: defaulted(kind, 'Secret'),
  name: required(objectName),
  namespace,
})

const caRef = object({
  group: required(group),
  kind: required(kind),
  name: required(objectName),
  namespace,
})

const routeNamespaces = object({
  from: defaulted(oneOfValues('All', 'Selector', 'Same'), 'Same'),
  selector: labelSelector,
})

const allowedRoutes = object({
  namespaces: defaulted(routeNamespaces, { from: 'Same' }),
  kinds: list(
    object({ group: defaulted(group, 'gateway.networking.k8s.io'), kind: required(kind) }),
    { maxItems: 8 },
  ),
})

const listenerTls = withRules(
  object({
    mode: defaulted(oneOfValues('Terminate', 'Passthrough'), 'Terminate'),
    certificateRefs: list(secretRef, { maxItems: 64 }),
    options: map(string({ maxLength: 4096 }), { maxEntries: 16 }),
  }),
  {
    cel: "self.mode == 'Terminate' ? (has(self.certificateRefs) && size(self.certificateRefs) > 0) || (has(self.options) && size(self.options) > 0) : true",
    message: 'certificateRefs or options are required for mode Terminate',
    field: 'certificateRefs',
  },
)

const listenerFields = object({
  name: required(sectionName),
  hostname,
  port: required(portNumber),
  protocol: required(
    string({
      minLength: 1,
      maxLength: 255,
      pattern:
        /^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9]+$/,
      patternHint: 'must be HTTP, HTTPS, TLS, TCP, UDP or domain/protocol',
    }),
  ),
  tls: listenerTls,
  allowedRoutes: defaulted(allowedRoutes, { namespaces: { from: 'Same' } }),
})

const listener = withRules(
  listenerFields,
  {
    cel: "self.protocol in ['HTTP', 'TCP', 'UDP'] ? !has(self.tls) : true",
    message: 'must not be set for protocols HTTP, TCP and UDP; remove it or use HTTPS or TLS',
    field: 'tls',
  },
  {
    cel: "(self.protocol == 'HTTPS' && has(self.tls)) ? (self.tls.mode == '' || self.tls.mode == 'Terminate') : true",
    message: 'mode must be Terminate for protocol HTTPS; use protocol TLS to pass through',
    field: 'tls',
  },
  {
    cel: "self.protocol == 'TLS' ? has(self.tls) && has(self.tls.mode) && self.tls.mode != '' : true",
    message: 'is required, with a mode, for protocol TLS',
    field: 'tls',
  },
  {
    cel: "self.protocol in ['TCP', 'UDP'] ? (!has(self.hostname) || self.hostname == '') : true",
    message: 'must not be set for protocols TCP and UDP, which carry no host name; remove it',
    field: 'hostname',
  },
)

export const listeners = withRules(list(listener, { minItems: 1, maxItems: 64, keys: ['name'] }), {
  cel: 'self.all(l1, self.exists_one(l2, l1.port == l2.port && l1.protocol == l2.protocol && (has(l1.hostname) && has(l2.hostname) ? l1.hostname == l2.hostname : !has(l1.hostname) && !has(l2.hostname))))',
  message: 'two listeners have the same port, protocol and hostname; make one of them differ',
})

const address = withRules(
  object({
    type: defaulted(
      string({
        minLength: 1,
        maxLength: 253,
        pattern:
          /^Hostname|IPAddress|NamedAddress|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$/,
        patternHint: 'must be IPAddress, Hostname, NamedAddress or domain/type',
      }),
      'IPAddress',
    ),
    value: string({ maxLength: 253 }),
  }),
  {
    cel: 'self.type == \'Hostname\' ? (!has(self.value) || self.value.matches(r"""^(\\*\\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$""")) : true',
    message: 'must be a host name in lower case, or left out',
    field: 'value',
  },
)

const addresses = withRules(
  list(address, { maxItems: 16 }),
  {
    cel: "self.all(a1, a1.type == 'IPAddress' && has(a1.value) ? self.exists_one(a2, a2.type == a1.type && has(a2.value) && a2.value == a1.value) : true)",
    message: 'the same IP address appears twice',
  },
  {
    cel: "self.all(a1, a1.type == 'Hostname' && has(a1.value) ? self.exists_one(a2, a2.type == a1.type && has(a2.value) && a2.value == a1.value) : true)",
    message: 'the same host name appears twice',
  },
)

const KEY_RULES = [
  {
    cel: 'self.all(key, key.size() <= 317 && key.matches(r"""^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$"""))',
    message:
      'keys must be a name of at most 63 letters, digits, "-", "_" and ".", which a DNS name and "/" may precede',
  },
  {
    cel: 'self.all(key, key.split("/")[0].size() < 253)',
    message: 'what stands before "/" in a key must be shorter than 253',
  },
] as const

const frontendValidation = object({
  caCertificateRefs: required(list(caRef, { minItems: 1, maxItems: 16 })),
  mode: defaulted(oneOfValues('AllowValidOnly', 'AllowInsecureFallback'), 'AllowValidOnly'),
})

const gatewayTls = object({
  backend: object({ clientCertificateRef: secretRef }),
  frontend: object({
    default: required(object({ validation: frontendValidation })),
    perPort: list(
      object({
        port: required(portNumber),
        tls: required(object({ validation: frontendValidation })),
      }),
      { maxItems: 64, keys: ['port'] },
    ),
  }),
})

export const kubernetesGateway = object({
  gatewayClassName: required(string({ minLength: 1, maxLength: 253 })),
  listeners: required(listeners),
  addresses,
  infrastructure: object({
    labels: keyed(
      string({
        maxLength: 63,
        pattern: /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/,
        patternHint: 'must be letters, digits, "-", "_" and ".", at most 63',
      }),
      8,
    ),
    annotations: keyed(string({ maxLength: 4096 }), 16),
    parametersRef: object({
      group: required(group),
      kind: required(kind),
      name: required(objectName),
    }),
  }),
  allowedListeners: object({
    namespaces: defaulted(
      object({
        from: defaulted(oneOfValues('All', 'Selector', 'Same', 'None'), 'None'),
        selector: labelSelector,
      }),
      { from: 'None' },
    ),
  }),
  tls: gatewayTls,
  defaultScope: oneOfValues('All', 'None'),
})

function keyed(
  value: Schema<string>,
  maxEntries: number,
): Schema<Readonly<Record<string, string>>> {
  return withRules(map(value, { maxEntries }), ...KEY_RULES)
}

export const referenceGrant = object({
  from: required(
    list(object({ group: required(group), kind: required(kind), namespace: required(namespace) }), {
      minItems: 1,
      maxItems: 16,
    }),
  ),
  to: required(
    list(object({ group: required(group), kind: required(kind), name: objectName }), {
      minItems: 1,
      maxItems: 16,
    }),
  ),
})

export type GatewayClass = Infer<typeof gatewayClass>
export type KubernetesGateway = Infer<typeof kubernetesGateway>
export type KubernetesListener = Infer<typeof listener>
export type ReferenceGrant = Infer<typeof referenceGrant>

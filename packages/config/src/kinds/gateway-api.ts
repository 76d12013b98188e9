/**
 * `GatewayClass`, `Gateway` and `ReferenceGrant` of gateway.networking.k8s.io
 * (v1, v1beta1), both channels. `HTTPRoute` has its own file.
 */

import {
  anything,
  defaulted,
  type Infer,
  integer,
  list,
  map,
  object,
  oneOfValues,
  required,
  string,
} from '../schema/schema.ts'

const DNS_LABEL_OR_SUBDOMAIN = { minLength: 1, maxLength: 253 }

const parametersRef = object({
  group: required(string({ maxLength: 253 })),
  kind: required(string({ minLength: 1, maxLength: 63 })),
  name: required(string({ minLength: 1, maxLength: 253 })),
  namespace: string({ minLength: 1, maxLength: 63 }),
})

export const gatewayClass = object({
  controllerName: required(string(DNS_LABEL_OR_SUBDOMAIN)),
  parametersRef,
  description: string({ maxLength: 64 }),
})

const secretRef = object({
  group: defaulted(string({ maxLength: 253 }), ''),
  kind: defaulted(string({ minLength: 1, maxLength: 63 }), 'Secret'),
  name: required(string({ minLength: 1, maxLength: 253 })),
  namespace: string({ minLength: 1, maxLength: 63 }),
})

const caRef = object({
  group: required(string({ maxLength: 253 })),
  kind: required(string({ minLength: 1, maxLength: 63 })),
  name: required(string({ minLength: 1, maxLength: 253 })),
  namespace: string({ minLength: 1, maxLength: 63 }),
})

const labelSelector = object({
  matchLabels: map(string()),
  matchExpressions: list(
    object({ key: required(string()), operator: required(string()), values: list(string()) }),
  ),
})

const listener = object({
  name: required(string({ minLength: 1, maxLength: 253 })),
  hostname: string({ minLength: 1, maxLength: 253 }),
  port: required(integer({ min: 1, max: 65535 })),
  protocol: required(string({ minLength: 1, maxLength: 255 })),
  tls: object({
    mode: defaulted(oneOfValues('Terminate', 'Passthrough'), 'Terminate'),
    certificateRefs: list(secretRef, { maxItems: 64 }),
    options: map(string({ maxLength: 4096 }), { maxEntries: 16 }),
  }),
  allowedRoutes: defaulted(
    object({
      namespaces: defaulted(
        object({
          from: defaulted(oneOfValues('All', 'Selector', 'Same'), 'Same'),
          selector: labelSelector,
        }),
        { from: 'Same' },
      ),
      kinds: list(object({ group: string({ maxLength: 253 }), kind: required(string()) }), {
        maxItems: 8,
      }),
    }),
    { namespaces: { from: 'Same' } },
  ),
})

const frontendValidation = object({
  caCertificateRefs: required(list(caRef, { minItems: 1, maxItems: 8 })),
  mode: defaulted(oneOfValues('AllowValidOnly', 'AllowInsecureFallback'), 'AllowValidOnly'),
})

export const kubernetesGateway = object({
  gatewayClassName: required(string({ minLength: 1, maxLength: 253 })),
  listeners: required(list(listener, { minItems: 1, maxItems: 64, keys: ['name'] })),
  addresses: list(
    object({
      type: defaulted(string({ minLength: 1, maxLength: 253 }), 'IPAddress'),
      value: string({ minLength: 1, maxLength: 253 }),
    }),
    { maxItems: 16 },
  ),
  infrastructure: object({
    labels: map(string({ maxLength: 63 }), { maxEntries: 8 }),
    annotations: map(string({ maxLength: 4096 }), { maxEntries: 8 }),
    parametersRef: object({
      group: required(string({ maxLength: 253 })),
      kind: required(string({ minLength: 1, maxLength: 63 })),
      name: required(string({ minLength: 1, maxLength: 253 })),
    }),
  }),
  allowedListeners: anything(),
  backendTLS: anything(),
  tls: object({
    backend: object({ clientCertificateRef: secretRef }),
    frontend: object({
      default: required(object({ validation: frontendValidation })),
      perPort: list(
        object({
          port: required(integer({ min: 1, max: 65535 })),
          tls: required(object({ validation: frontendValidation })),
        }),
        { maxItems: 64, keys: ['port'] },
      ),
    }),
  }),
  defaultScope: oneOfValues('All', 'None'),
})

export const referenceGrant = object({
  from: required(
    list(
      object({
        group: required(string({ maxLength: 253 })),
        kind: required(string({ minLength: 1, maxLength: 63 })),
        namespace: required(string({ minLength: 1, maxLength: 63 })),
      }),
      { minItems: 1, maxItems: 16 },
    ),
  ),
  to: required(
    list(
      object({
        group: required(string({ maxLength: 253 })),
        kind: required(string({ minLength: 1, maxLength: 63 })),
        name: string({ minLength: 1, maxLength: 253 }),
      }),
      { minItems: 1, maxItems: 16 },
    ),
  ),
})

export type GatewayClass = Infer<typeof gatewayClass>
export type KubernetesGateway = Infer<typeof kubernetesGateway>
export type KubernetesListener = Infer<typeof listener>
export type ReferenceGrant = Infer<typeof referenceGrant>

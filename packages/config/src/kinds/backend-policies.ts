/**
 * Policies of gateway.networking.k8s.io for calls to a Service:
 * `BackendTLSPolicy` (v1, v1alpha3) and `XBackendTrafficPolicy` of
 * gateway.networking.x-k8s.io (v1alpha1).
 */

import {
  type CelRule,
  defaulted,
  type Infer,
  integer,
  list,
  map,
  object,
  oneOfValues,
  required,
  string,
  withRules,
} from '../schema/schema.ts'
import {
  gatewayDuration,
  group,
  hostname,
  kind,
  objectName,
  preciseHostname,
  sectionName,
} from './gateway-api-common.ts'
import { sessionPersistence } from './session-persistence.ts'

const targetRefs = withRules(
  list(
    object({
      group: required(group),
      kind: required(kind),
      name: required(objectName),
      sectionName,
    }),
    { minItems: 1, maxItems: 16 },
  ),
  {
    cel: "self.all(p1, self.all(p2, p1.group == p2.group && p1.kind == p2.kind && p1.name == p2.name ? ((!has(p1.sectionName) || p1.sectionName == '') == (!has(p2.sectionName) || p2.sectionName == '')) : true))",
    message: 'all references to the same target must have a sectionName, or none of them',
  },
  {
    cel: "self.all(p1, self.exists_one(p2, p1.group == p2.group && p1.kind == p2.kind && p1.name == p2.name && (((!has(p1.sectionName) || p1.sectionName == '') && (!has(p2.sectionName) || p2.sectionName == '')) || (has(p1.sectionName) && has(p2.sectionName) && p1.sectionName == p2.sectionName))))",
    message: 'references to the same target must differ in sectionName',
  },
)

/** A name of one type has the field of that type, and only that one. */
function namedBy(type: string, field: string): readonly CelRule[] {
  return [
    {
      cel: `!(self.type == '${type}' && (!has(self.${field}) || self.${field} == ''))`,
      message: `is required for type ${type}`,
      field,
    },
    {
      cel: `!(self.type != '${type}' && has(self.${field}) && self.${field} != '')`,
      message: `belongs to type ${type}; remove it or set that type`,
      field,
    },
  ]
}

const subjectAltName = withRules(
  object({
    type: required(oneOfValues('Hostname', 'URI')),
    hostname,
    uri: string({
      minLength: 1,
      maxLength: 253,
      pattern: /^(([^:/?#]+):)(\/\/([^/?#]*))([^?#]*)(\?([^#]*))?(#(.*))?/,
      patternHint: 'must be a whole URI, e.g. spiffe://cluster.local/ns/shop/sa/web',
    }),
  }),
  ...namedBy('Hostname', 'hostname'),
  ...namedBy('URI', 'uri'),
)

const HAS_REFS = 'has(self.caCertificateRefs) && size(self.caCertificateRefs) > 0'
const HAS_WELL_KNOWN = "has(self.wellKnownCACertificates) && self.wellKnownCACertificates != ''"

const validation = withRules(
  object({
    caCertificateRefs: list(
      object({ group: required(group), kind: required(kind), name: required(objectName) }),
      { maxItems: 8 },
    ),
    wellKnownCACertificates: oneOfValues('System'),
    hostname: required(preciseHostname),
    subjectAltNames: list(subjectAltName, { maxItems: 5 }),
  }),
  {
    cel: `!(${HAS_REFS} && ${HAS_WELL_KNOWN})`,
    message: 'excludes caCertificateRefs; remove one of them',
    field: 'wellKnownCACertificates',
  },
  {
    cel: `(${HAS_REFS} || ${HAS_WELL_KNOWN})`,
    message: 'caCertificateRefs or wellKnownCACertificates is required',
    field: 'caCertificateRefs',
  },
)

export const backendTlsPolicy = object({
  targetRefs: required(targetRefs),
  validation: required(validation),
  options: map(string({ maxLength: 4096 }), { maxEntries: 16 }),
})

const requestRate = object({
  count: integer({ min: 1, max: 1_000_000 }),
  interval: withRules(gatewayDuration, {
    cel: "!(duration(self) == duration('0s') || duration(self) > duration('1h'))",
    message: 'must be longer than 0s and at most 1h',
  }),
})

const retryConstraint = object({
  budget: defaulted(
    object({
      percent: defaulted(integer({ min: 0, max: 100 }), 20),
      interval: defaulted(
        withRules(gatewayDuration, {
          cel: "!(duration(self) < duration('1s') || duration(self) > duration('1h'))",
          message: 'must be from 1s to 1h',
        }),
        '10s',
      ),
    }),
    { percent: 20, interval: '10s' },
  ),
  minRetryRate: defaulted(requestRate, { count: 10, interval: '1s' }),
})

export const backendTrafficPolicy = object({
  targetRefs: required(
    list(object({ group: required(group), kind: required(kind), name: required(objectName) }), {
      minItems: 1,
      maxItems: 16,
      keys: ['group', 'kind', 'name'],
    }),
  ),
  retryConstraint,
  sessionPersistence,
})

export type BackendTlsPolicy = Infer<typeof backendTlsPolicy>
export type BackendTrafficPolicy = Infer<typeof backendTrafficPolicy>

/**
 * `ServiceEntry` and `WorkloadEntry` (networking.istio.io): services and
 * workloads that no Kubernetes object describes. Checks beyond the schema are
 * in `rules/service-entry.ts`.
 */

import {
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
import { stringList } from './istio-common.ts'

const uint32 = { min: 0, max: 4294967295 }

const port = withRules(integer(uint32), {
  cel: '0 < self && self <= 65535',
  message: 'must be a port between 1 and 65535',
})

const address = withRules(
  string({ maxLength: 256 }),
  {
    cel: 'self.startsWith("unix://") ? (self.substring(7, 8) == "/" || self.substring(7, 8) == "@") : true',
    message: 'must be an absolute path or @name after unix://',
  },
  {
    cel: 'self.startsWith("unix://") ? !self.endsWith("/") : true',
    message: 'must be a socket, not a directory',
  },
)

export const workloadEntry = withRules(
  object({
    address,
    ports: withRules(map(port, { maxEntries: 128 }), {
      cel: 'self.all(key, size(key) < 63 && key.matches("^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$"))',
      message: 'port names must be letters, digits and inner hyphens, fewer than 63',
    }),
    labels: map(string(), { maxEntries: 256 }),
    network: string({ maxLength: 2048 }),
    locality: string({ maxLength: 2048 }),
    weight: integer(uint32),
    serviceAccount: string({ maxLength: 253 }),
  }),
  {
    cel: 'has(self.address) || has(self.network)',
    message: 'is required unless network is set',
    field: 'address',
  },
  {
    cel: '(has(self.address) ? self.address : "").startsWith("unix://") ? !has(self.ports) : true',
    message: 'cannot be combined with a unix socket as address',
    field: 'ports',
  },
)

const servicePort = object({
  number: required(port),
  protocol: string({ maxLength: 256 }),
  name: required(string({ maxLength: 256 })),
  targetPort: port,
})

const host = withRules(string(), {
  cel: 'self != "*"',
  message: '"*" is no service; write a host, or a domain such as *.example.com',
})

const ports = withRules(list(servicePort, { maxItems: 256, keys: ['name'] }), {
  cel: 'self.all(l1, self.exists_one(l2, l1.number == l2.number))',
  message: 'two ports have the same number',
})

export const serviceEntry = withRules(
  object({
    hosts: required(list(host, { minItems: 1, maxItems: 256 })),
    addresses: list(string({ maxLength: 64 }), { maxItems: 256 }),
    ports,
    location: oneOfValues('MESH_EXTERNAL', 'MESH_INTERNAL'),
    resolution: defaulted(
      oneOfValues('NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS'),
      'NONE',
    ),
    endpoints: list(workloadEntry, { maxItems: 4096 }),
    workloadSelector: object({
      labels: map(
        withRules(string({ maxLength: 63 }), {
          cel: '!self.contains("*")',
          message: 'wildcards are not allowed in a selector',
        }),
        { maxEntries: 256 },
      ),
    }),
    exportTo: stringList,
    subjectAltNames: stringList,
  }),
  {
    cel: '(has(self.workloadSelector) ? 1 : 0) + (has(self.endpoints) ? 1 : 0) <= 1',
    message: 'cannot be combined with workloadSelector; remove one of them',
    field: 'endpoints',
  },
  {
    cel: '!((has(self.addresses) ? self.addresses : []).exists(k, k.contains("/")) && !((has(self.resolution) ? self.resolution : "NONE") in ["STATIC", "NONE"]))',
    message: 'ranges are allowed for resolution NONE and STATIC only; write single addresses',
    field: 'addresses',
  },
  {
    cel: '((has(self.resolution) ? self.resolution : "NONE") == "NONE") ? !has(self.endpoints) : true',
    message: 'have no effect with resolution NONE; set resolution STATIC or DNS',
    field: 'endpoints',
  },
  {
    cel: '((has(self.resolution) ? self.resolution : "") == "DNS_ROUND_ROBIN") ? ((has(self.endpoints) ? self.endpoints : []).size() <= 1) : true',
    message: 'must be at most one for resolution DNS_ROUND_ROBIN',
    field: 'endpoints',
  },
)

export type ServiceEntry = Infer<typeof serviceEntry>
export type ServiceEntryPort = Infer<typeof servicePort>
export type WorkloadEntry = Infer<typeof workloadEntry>

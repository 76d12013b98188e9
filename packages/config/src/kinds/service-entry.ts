/**
 * `ServiceEntry` and `WorkloadEntry` (networking.istio.io): services and
 * workloads that no Kubernetes object describes. Checks beyond the schema are
 * in `service-entry-rules.ts`.
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
} from '../schema/schema.ts'
import { labels, stringList } from './istio-common.ts'

const uint32 = { min: 0, max: 4294967295 }

export const workloadEntry = object({
  address: string(),
  ports: map(integer(uint32)),
  labels: labels(),
  network: string(),
  locality: string(),
  weight: integer(uint32),
  serviceAccount: string(),
})

const servicePort = object({
  number: required(integer(uint32)),
  protocol: string(),
  name: required(string()),
  targetPort: integer(uint32),
})

export const serviceEntry = object({
  hosts: required(stringList),
  addresses: stringList,
  ports: list(servicePort, { keys: ['name'] }),
  location: oneOfValues('MESH_EXTERNAL', 'MESH_INTERNAL'),
  resolution: defaulted(
    oneOfValues('NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS'),
    'NONE',
  ),
  endpoints: list(workloadEntry),
  workloadSelector: object({ labels: labels() }),
  exportTo: stringList,
  subjectAltNames: stringList,
})

export type ServiceEntry = Infer<typeof serviceEntry>
export type ServiceEntryPort = Infer<typeof servicePort>
export type WorkloadEntry = Infer<typeof workloadEntry>

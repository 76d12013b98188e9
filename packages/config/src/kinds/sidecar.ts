/**
 * `Sidecar` (networking.istio.io): what the proxies of a namespace, or of chosen
 * workloads, import of the mesh and where they listen. Checks beyond the schema
 * are in `rules/sidecar.ts`.
 */

import {
  type Infer,
  integer,
  list,
  object,
  oneOfValues,
  required,
  string,
} from '../schema/schema.ts'
import { connectionPool } from './destination-rule.ts'
import { serverTls } from './gateway.ts'
import { labels, stringList } from './istio-common.ts'
import { destination } from './virtual-service.ts'

const uint32 = { min: 0, max: 4294967295 }

const port = object({
  number: integer(uint32),
  protocol: string(),
  name: string(),
  targetPort: integer(uint32),
})

const captureMode = oneOfValues('DEFAULT', 'IPTABLES', 'NONE')

const ingress = object({
  port: required(port),
  bind: string(),
  captureMode,
  defaultEndpoint: string(),
  tls: serverTls,
  connectionPool,
})

const egress = object({
  port,
  bind: string(),
  captureMode,
  hosts: required(stringList),
})

export const sidecar = object({
  workloadSelector: object({ labels: labels() }),
  ingress: list(ingress),
  egress: list(egress),
  inboundConnectionPool: connectionPool,
  outboundTrafficPolicy: object({
    mode: oneOfValues('REGISTRY_ONLY', 'ALLOW_ANY'),
    egressProxy: destination,
  }),
})

export type Sidecar = Infer<typeof sidecar>
export type SidecarIngress = Infer<typeof ingress>
export type SidecarEgress = Infer<typeof egress>

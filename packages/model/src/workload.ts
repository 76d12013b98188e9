/** Who a proxy works for: what it says of itself when it connects to the control plane. */
import type { Locality } from './locality.ts'

export type ProxyRole = 'sidecar' | 'gateway'

export interface Workload {
  readonly name: string
  readonly namespace: string
  readonly serviceAccount: string
  readonly labels: Readonly<Record<string, string>>
  readonly locality: Locality
  /** Cluster in Istio's sense; `Kubernetes` there, `weft` by default here. */
  readonly cluster: string
}

/** A port that a workload offers by itself, without anybody having written it down. */
export interface OfferedPort {
  /** Short service name, e.g. `reviews`. */
  readonly service: string
  /** The service's port. */
  readonly port: number
  /** `http`, `tcp`, … as in Kubernetes' `appProtocol`. */
  readonly protocol: string
  /** Where peers reach it: the sidecar's inbound listener. */
  readonly address: string
  readonly listenPort: number
  /** Where the sidecar reaches the application. */
  readonly appAddress: string
  readonly appPort: number
}

/** Active health checks: Envoy's `HealthCheck` as plain values. */
import type { StringMatch } from './matcher.ts'

export interface HealthCheck {
  /** Between two checks of an endpoint, in milliseconds, > 0. */
  readonly intervalMs: number
  /** Spreads checks: up to this many milliseconds are added at random. */
  readonly jitterMs: number
  /** In milliseconds, > 0. */
  readonly timeoutMs: number
  /** Failures in a row that make a healthy endpoint unhealthy; a refused HTTP status needs only one. */
  readonly unhealthyThreshold: number
  /** Successes in a row that make an unhealthy endpoint healthy; the first check needs only one. */
  readonly healthyThreshold: number
  /** Of clusters without traffic, in milliseconds; absent: `intervalMs`. */
  readonly idleIntervalMs?: number
  /** Asked at this port in place of the endpoint's own. */
  readonly port?: number
  readonly probe: HealthProbe
}

export type HealthProbe =
  | {
      readonly kind: 'http'
      readonly path: string
      /** Absent: the cluster's name. */
      readonly host?: string
      readonly method: 'GET' | 'HEAD' | 'OPTIONS' | 'POST'
      readonly protocol: 'http1' | 'http2'
      /** Ranges [from, to) that count as healthy. */
      readonly expectedStatuses: readonly { readonly from: number; readonly to: number }[]
      /** Checked against the `x-envoy-upstream-healthchecked-cluster` answer. */
      readonly serviceName?: StringMatch
    }
  /** `grpc.health.v1.Health/Check`. */
  | { readonly kind: 'grpc'; readonly service: string; readonly authority?: string }
  /** Connecting is enough when nothing is to be sent. Bytes. */
  | { readonly kind: 'tcp'; readonly send?: Uint8Array; readonly receive: readonly Uint8Array[] }

/** How resources are called: Istio's names, so that tools and people recognise them. */

export function outboundCluster(host: string, port: number, subset = ''): string {
  return `outbound|${port}|${subset}|${host}`
}

export function inboundCluster(port: number): string {
  return `inbound|${port}||`
}

export const PASSTHROUGH_CLUSTER = 'PassthroughCluster'
export const BLACK_HOLE_CLUSTER = 'BlackHoleCluster'
/** Stands for backends of an HTTPRoute that mean nothing; no route on the wire names it. */
export const INVALID_BACKEND_CLUSTER = 'UnknownService'
export const INBOUND_PASSTHROUGH_CLUSTER = 'InboundPassthroughCluster'

/** `0.0.0.0_9080`, `10.96.0.12_3306`. */
export function captureListener(address: string, port: number): string {
  return `${address}_${port}`
}

/** RDS name of the explicit proxy's routes. */
export const HTTP_PROXY_ROUTES = 'http_proxy'

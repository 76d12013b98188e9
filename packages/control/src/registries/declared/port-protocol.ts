/**
 * Which protocol a service port speaks, by Istio's rules: `appProtocol`, else
 * the port's name up to its first dash, else unknown. Some well-known ports are
 * TCP although nobody says so, because their servers speak first and waiting for
 * the client's first bytes would wait for ever.
 */
import type { PortProtocol } from '../registry.ts'

const BY_NAME: Readonly<Record<string, PortProtocol>> = {
  http: 'http',
  'http-proxy': 'http',
  http_proxy: 'http',
  http2: 'http2',
  h2c: 'http2',
  'kubernetes.io/h2c': 'http2',
  'kubernetes.io/ws': 'http',
  'kubernetes.io/wss': 'https',
  ws: 'http',
  grpc: 'grpc',
  'grpc-web': 'http',
  https: 'https',
  tls: 'tls',
  tcp: 'tcp',
  mongo: 'tcp',
  mysql: 'tcp',
  redis: 'tcp',
  postgres: 'tcp',
  hbone: 'tcp',
  udp: 'udp',
}

const SERVER_SPEAKS_FIRST = new Set([25, 53, 3306, 27017])

export interface PortDeclaration {
  readonly port: number
  readonly name?: string | undefined
  readonly appProtocol?: string | undefined
  /** Transport: `TCP`, `UDP`, `SCTP`. */
  readonly transport?: string | undefined
}

export function portProtocol(declared: PortDeclaration): PortProtocol {
  if (declared.transport === 'UDP') return 'udp'
  if (declared.appProtocol !== undefined && declared.appProtocol !== '') {
    const known = protocolNamed(declared.appProtocol)
    if (known !== undefined) return known
  }
  const named = protocolOfPortName(declared.name ?? '')
  if (named !== undefined) return named
  return SERVER_SPEAKS_FIRST.has(declared.port) ? 'tcp' : 'auto'
}

/** `HTTP`, `GRPC`, `TLS` … as ServiceEntry and Gateway write them; `undefined` when unknown. */
export function protocolNamed(text: string): PortProtocol | undefined {
  return BY_NAME[text.toLowerCase()]
}

/** True where requests are routed one by one. `auto` counts: HTTP is what its first bytes most often say. */
export function isHttp(protocol: PortProtocol): boolean {
  return protocol === 'http' || protocol === 'http2' || protocol === 'grpc' || protocol === 'auto'
}

function protocolOfPortName(name: string): PortProtocol | undefined {
  const lower = name.toLowerCase()
  if (lower.startsWith('grpc-web')) return 'http'
  const dash = lower.indexOf('-')
  return BY_NAME[dash < 0 ? lower : lower.slice(0, dash)]
}

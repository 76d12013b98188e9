/** Where a route is being made for: which proxy, which port, bound to which gateways. */
import type { ProxyScope } from '../scope.ts'

export interface RouteContext {
  readonly scope: ProxyScope
  /** Port of the service or of the gateway's server, as callers name it. */
  readonly port: number
  /** `mesh` for sidecars; names of the gateways that share the port otherwise. */
  readonly gateways: ReadonlySet<string>
}

export const MESH_GATEWAY: ReadonlySet<string> = new Set(['mesh'])

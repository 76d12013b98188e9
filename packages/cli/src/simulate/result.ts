/** What `weft simulate` answers. The fields are part of the interface. */

/**
 * Why a call gets nowhere:
 *
 *     no-listener       nothing listens there, and nothing takes what is left over
 *     no-filter-chain   the listener takes no connection like this one (port, SNI, ALPN …)
 *     no-virtual-host   no route table, or none of its hosts is the call's
 *     no-route          the host is known, no rule matches
 *     no-cluster        the rule's destination does not exist
 *     tls-redirect      plain text where the host wants TLS: answered with 301
 *     tls-error         plain text to a TLS server, or the other way round
 *     protocol-error    not the protocol that the listener speaks, e.g. TCP to an HTTP port
 */
export const SIMULATION_ERRORS = [
  'no-listener',
  'no-filter-chain',
  'no-virtual-host',
  'no-route',
  'no-cluster',
  'tls-redirect',
  'tls-error',
  'protocol-error',
] as const
type SimulationError = (typeof SIMULATION_ERRORS)[number]

export interface SimulationResult {
  readonly listener: string | null
  readonly filterChain: string | null
  /** Name of the RDS resource. */
  readonly routeTable: string | null
  readonly virtualHost: string | null
  readonly route: string | null
  /** The heaviest of `clusters`, the first among equals. */
  readonly cluster: string | null
  readonly clusters: readonly { readonly cluster: string; readonly weight: number }[]
  /** What the upstream gets instead of what the client sent; `null` when nothing changes. */
  readonly rewritten: Rewritten | null
  readonly redirect: { readonly status: number; readonly location: string } | null
  readonly directResponse: { readonly status: number; readonly body: string } | null
  readonly mirrors: readonly { readonly cluster: string; readonly percent: number }[]
  readonly fault: Fault | null
  /** In milliseconds; `null` when there is no limit or nothing is forwarded. */
  readonly timeoutMs: number | null
  readonly retries: { readonly attempts: number; readonly on: readonly string[] } | null
  readonly error: SimulationError | null
  /** What guards on the way, or of the workload that is called, say; `null`: nobody is asked. */
  readonly authorization: Authorization | null
  /** Between the mesh's proxies, at the workload that is called; `null`: none is known. */
  readonly mtls: MutualTls | null
  /** One fact a line, in the order in which they were decided. */
  readonly because: readonly string[]
}

export interface Authorization {
  /** `custom`: a provider of MeshConfig has the last word, all the rest allows it. */
  readonly decision: 'allow' | 'deny' | 'custom'
  /** `namespace/name` of the policy that decided; `null`: none did. */
  readonly policy: string | null
  /** Its rule, from 0. */
  readonly rule: number | null
  readonly because: string
  readonly kind: 'AuthorizationPolicy' | 'PeerAuthentication' | null
  /** `file:line` of what decided; of what lacks where nothing matched. */
  readonly origin: string | null
  /** What a refused client is told; `null`: nothing, or it is not refused. */
  readonly status: number | null
  /** `%RESPONSE_CODE_DETAILS%` in the access log. */
  readonly details: string | null
  readonly provider: string | null
  /** `namespace/workload` whose proxy says so. */
  readonly at: string | null
  readonly notes: readonly string[]
}

export interface MutualTls {
  readonly mode: 'STRICT' | 'PERMISSIVE' | 'DISABLE'
  /** `namespace/name` of the PeerAuthentication; `null`: the default. */
  readonly policy: string | null
  readonly origin: string | null
  readonly plaintext: 'accepted' | 'refused'
  readonly because: string
  /** How this call arrives. */
  readonly call: 'plaintext' | 'tls' | 'mtls'
}

export interface Rewritten {
  readonly host?: string
  /** The same as `host`, under HTTP/2's name. */
  readonly authority?: string
  readonly path?: string
  /** All request headers after the changes, when there are changes. */
  readonly headers?: Readonly<Record<string, string>>
  /** Changes to the response's headers. */
  readonly responseHeaders?: {
    readonly set: Readonly<Record<string, string>>
    readonly add: Readonly<Record<string, string>>
    readonly remove: readonly string[]
  }
}

interface Fault {
  readonly delay?: { readonly percent: number; readonly delayMs: number }
  readonly abort?: { readonly percent: number; readonly status: number }
}

export const NOWHERE: SimulationResult = {
  listener: null,
  filterChain: null,
  routeTable: null,
  virtualHost: null,
  route: null,
  cluster: null,
  clusters: [],
  rewritten: null,
  redirect: null,
  directResponse: null,
  mirrors: [],
  fault: null,
  timeoutMs: null,
  retries: null,
  error: null,
  authorization: null,
  mtls: null,
  because: [],
}

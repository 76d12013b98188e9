/**
 * What every admin endpoint is (★). One file beside this one per endpoint; the
 * list of them is `catalog.ts`; `admin-server.ts` does HTTP.
 *
 *     method   GET never changes anything; what changes something is POST
 *     access   who may call it; checked before `answer`, which narrows it down to namespaces
 *     answer   reads the plane through `PlaneView`
 */

import type { ResourceSet } from '@weft/model'
import type { MetricsRegistry } from '@weft/telemetry'
import type { ConnectionStatus } from '@weft/xds'
import type { OpenedMeshCa } from '../ca/open-mesh-ca.ts'
import type { RegistryHealth } from '../registries/registry.ts'
import type { KeptRegistration } from '../registries/self-registration.ts'
import type { MeshSnapshot } from '../snapshot/mesh-snapshot.ts'
import type { SourceState } from '../sources/source.ts'
import type { ObjectStatus } from '../status/object-status.ts'
import type { ProxyView } from '../translate/proxy-view.ts'
import type { Operators } from './access/operators.ts'
import type { Access, Operator } from './access/roles.ts'

export interface AdminEndpoint {
  readonly path: `/${string}`
  readonly method: 'GET' | 'POST'
  /** `code`: it proves by itself who calls, and answers 401 to everybody else. */
  readonly access: Access | 'code'
  /** One line, for the list at `/`. */
  readonly summary: string
  answer(request: AdminRequest, plane: PlaneView): AdminAnswer | Promise<AdminAnswer>
}

export interface AdminRequest {
  readonly caller: Operator
  /** As sent: `HEAD` too. */
  readonly method: string
  readonly isTls: boolean
  /** Of the session that vouches for the caller. */
  readonly cookie: string | undefined
  readonly cookieName: string
  /** Says for the audit log what a change is about. */
  about(subject: string): void
  readonly query: URLSearchParams
  /** A header by its lower-case name; `undefined` when there is none. */
  header(name: string): string | undefined
  /** Of a POST; bounded. */
  readonly body: string
}

export interface AdminAnswer {
  readonly status: number
  readonly contentType: string
  readonly body: string | Iterable<string>
  readonly headers?: Readonly<Record<string, string>>
}

/** The control plane as the admin port sees it. */
export interface PlaneView {
  readonly metrics: MetricsRegistry
  /** The first synchronisation is done. */
  isReady(): boolean
  /** Absent before the first. */
  snapshot(): MeshSnapshot | undefined
  sourceState(): SourceState
  statuses(): readonly ObjectStatus[]
  /** Everything found wrong, across objects too. */
  problems(): SourceState['problems']
  proxies(): readonly ConnectedProxy[]
  registrations(): readonly KeptRegistration[]
  registries(): readonly { readonly name: string; readonly health: RegistryHealth }[]
  /** The folder that `apply` and `delete` write into; absent when only files are watched. */
  readonly folder: string | undefined
  /** The CA, and the tokens by which proxies join. */
  readonly identities: OpenedMeshCa
  readonly operators: Operators
  /** Looks at the sources now, instead of at the next event. */
  rescan(): Promise<void>
}

export interface ConnectedProxy {
  readonly connection: ConnectionStatus
  readonly view: ProxyView
  /** Absent before the first snapshot. */
  readonly set: ResourceSet | undefined
  /** Why it did not get the newest snapshot and still has `set`. */
  readonly problem: string | undefined
}

export function jsonAnswer(value: unknown, status = 200): AdminAnswer {
  return {
    status,
    contentType: 'application/json',
    body: `${JSON.stringify(value, renderValue, 1)}\n`,
  }
}

/** @param make Its `RangeError` is the caller's: 400. */
export async function answerInRange(make: () => Promise<unknown>): Promise<AdminAnswer> {
  try {
    return jsonAnswer(await make())
  } catch (error) {
    if (error instanceof RangeError) return jsonAnswer({ error: error.message }, 400)
    throw error
  }
}

export function textAnswer(body: string | Iterable<string>, status = 200): AdminAnswer {
  return { status, contentType: 'text/plain; charset=utf-8', body }
}

/** `undefined` when the body is no JSON object. */
export function readObject(body: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value !== null
      ? (value as Readonly<Record<string, unknown>>)
      : undefined
  } catch {
    return undefined
  }
}

/** Maps become objects; private keys never leave. */
function renderValue(key: string, value: unknown): unknown {
  if (key === 'keyPem') return '[redacted]'
  return value instanceof Map ? Object.fromEntries(value) : value
}

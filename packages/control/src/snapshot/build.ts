import type { Document } from '@weft/config'
import type { RegistryState } from '../registries/registry.ts'
import type { MeshSnapshot } from './mesh-snapshot.ts'

export interface SnapshotInput {
  readonly documents: readonly Document[]
  /** Registries besides the documents themselves, e.g. self-registration. */
  readonly registries?: readonly RegistryState[]
}

/**
 * Documents and registries → snapshot. Services and endpoints that the documents
 * describe (Service, EndpointSlice, ServiceEntry, …) need no registry.
 *
 * @param previous Shares what did not change, and lends its last good form to a
 * route whose references no longer resolve.
 */
export function buildSnapshot(_input: SnapshotInput, _previous?: MeshSnapshot): MeshSnapshot {
  throw new Error('Cannot build: not implemented')
}

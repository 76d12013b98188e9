/** What a Workload API server needs to know of the workload that it serves. */
import type { WorkloadX509 } from './workload-messages.ts'

export interface WorkloadSource {
  /**
   * `waiting`: nothing is known yet, and soon will be; who asks is kept waiting. `none`: there is no
   * identity for this workload, with the reason for the log of whoever asks.
   */
  state(): WorkloadState
  /** Hears of every change of `state`. Returns how to stop. */
  onChange(changed: () => void): () => void
  /** @param id The one that is wanted; empty: whichever there is. */
  fetchJwt(audiences: readonly string[], id: string): Promise<FetchedJwt>
  validateJwt(audience: string, token: string): ValidatedJwt
}

export type WorkloadState =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'none'; readonly problem: string }
  | { readonly kind: 'ready'; readonly svid: WorkloadX509; readonly bundles: WorkloadBundles }

interface WorkloadBundles {
  readonly trustDomain: string
  /** Roots (DER, one after the other) by trust domain; always with the own one. */
  readonly x509: ReadonlyMap<string, Uint8Array>
  /** JWK sets by trust domain. */
  readonly jwt: ReadonlyMap<string, string>
}

export type FetchedJwt =
  | { readonly ok: true; readonly id: string; readonly token: string }
  | {
      readonly ok: false
      readonly code: 'invalidArgument' | 'permissionDenied' | 'unavailable'
      readonly problem: string
    }

export type ValidatedJwt =
  | {
      readonly ok: true
      readonly id: string
      readonly claims: Readonly<Record<string, unknown>>
    }
  | { readonly ok: false; readonly problem: string }

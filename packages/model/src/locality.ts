/** Where something runs, from coarse to fine; empty strings where unknown (Envoy `core.v3.Locality`). */
export interface Locality {
  readonly region: string
  readonly zone: string
  readonly subZone: string
}

export const NO_LOCALITY: Locality = { region: '', zone: '', subZone: '' }

/** A workload that is called, and what its proxy was told. */
import type { ProxyView } from '@weft/control'
import type { Listener, Origin, ResourceSet } from '@weft/model'
import type { MutualTls } from '../simulate/result.ts'

export interface Destination {
  /** `namespace/workload`. */
  readonly name: string
  readonly proxy: ProxyView
  /** SPIFFE ID, where it is known. */
  readonly principal?: string
  readonly resources: ResourceSet
  readonly trustDomain: string
  /** Ports of services that lead here, with the port of the workload itself. */
  readonly ports: readonly { readonly servicePort: number; readonly port: number }[]
  readonly modeAt: ModeAt
}

/** Which mutual TLS a port takes, and whose word that is. */
export type ModeAt = (port: number) => {
  readonly mode: MutualTls['mode']
  /** `namespace/name` of a PeerAuthentication; absent: the default, or nobody knows. */
  readonly policy?: string
  /** `file:line`. */
  readonly origin?: string
}

/** Where connections from elsewhere arrive. */
export function inboundListeners({ resources }: Destination): readonly Listener[] {
  return [...resources.listener.values()].filter(({ direction }) => direction === 'inbound')
}

export function whereOf({ file, line }: Origin): string | undefined {
  return file === undefined ? undefined : `${file}${line === undefined ? '' : `:${line}`}`
}

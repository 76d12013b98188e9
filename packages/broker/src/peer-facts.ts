/** What the broker knows of a connection that it let in. */
import type { Setup } from '@weft/wire'
import type { MetadataForm } from './request-call.ts'
import type { Router } from './router.ts'

export interface PeerFacts {
  readonly setup: Pick<Setup, 'keepaliveMs' | 'maxLifetimeMs' | 'lease' | 'dataMime'>
  readonly metadataForm: MetadataForm
  /** Built on Alibaba's SDK: its MIME ids are read. */
  readonly isAlibaba: boolean
  readonly identity: PeerIdentity
  /** Absent: a pure requester, which offers nothing. */
  readonly instance: InstanceFacts | undefined
  /**
   * What the peer said it understands, and nothing else is ever sent to it: optional frames,
   * HTTP messages as `message/x.weft.http.v0`, and questions for its metrics.
   */
  readonly features: ReadonlySet<'mpush' | 'goaway' | 'lease' | 'http' | 'metrics'>
  /** The connection is a link between brokers. */
  readonly broker?: BrokerFacts
  /** The instance is connected to this broker, not to us. */
  readonly via?: string
  /** What it asks is no concern of filters: copies of what has passed them, the broker's own. */
  readonly skipsFilters?: true
  /** Decides about what it asks: of peers of our own process. */
  readonly router?: Pick<Router, 'route'>
}

/** Another broker of the cluster. */
export interface BrokerFacts {
  readonly id: string
  /** Of this start of it: an id may come back. */
  readonly incarnation: string
}

export interface PeerIdentity {
  /** `spiffe://…` of the certificate or of the token; absent: anonymous. */
  readonly principal: string | undefined
  /** Verified claims of the token; absent: there was none. */
  readonly claims: Readonly<Record<string, unknown>> | undefined
}

export interface InstanceFacts {
  /** One of these per process, for life. */
  readonly id: string
  readonly app: string
  readonly namespace: string
  /** Which of its links this is, 0 or more. */
  readonly link: number
  readonly labels: Readonly<Record<string, string>>
  /** Share among the instances of a service, > 0. */
  readonly weight: number
  readonly zone: string
  /** It begins without wanting requests, and will say when it does. */
  readonly resting: boolean
  readonly services: readonly OfferedService[]
}

/** A service of an instance under its GSV. */
export interface OfferedService {
  readonly group: string
  readonly service: string
  readonly version: string
  /** Under which HTTP callers know it; absent: 80. */
  readonly port?: number
}

/** Of a connection between two brokers. */
export function linkFacts(
  setup: PeerFacts['setup'],
  broker: BrokerFacts,
  identity: PeerIdentity,
): PeerFacts {
  const { keepaliveMs, maxLifetimeMs, dataMime } = setup
  return {
    setup: { keepaliveMs, maxLifetimeMs, dataMime, lease: false },
    ...{ broker, identity, metadataForm: 'composite', isAlibaba: false, instance: undefined },
    features: new Set(['mpush']),
  }
}

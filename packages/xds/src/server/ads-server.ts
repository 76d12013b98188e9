/** The contract of the ADS server; `open-ads-server.ts` builds one. */
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import type { Clock, Logger } from '@weft/base'
import type { ResourceSet, SocketAddress } from '@weft/model'
import type { CertificateQuestion } from '../certificates/certificate-messages.ts'
import type { XdsNode } from '../node.ts'
import type { RateLimitQuestion, RateLimitVerdict } from '../rate-limit/rate-limit-messages.ts'
import type { Answer, ConnectionStatus } from './ads-status.ts'
import type { IdentityService } from './identity-service.ts'
import type { LoadReport } from './load-reports.ts'
import type { Quarantined } from './quarantine.ts'

export interface AdsServerDeps {
  readonly clock: Clock
  readonly log: Logger
  /**
   * The key of the resources that a node gets; nodes of one key share everything. Asked once per
   * stream, after `onNode`.
   * A view that was never published stays silent: its clients wait.
   */
  viewOf(node: XdsNode): string
  /**
   * False until the first full synchronisation: streams are refused with
   * `UNAVAILABLE`, because an empty answer would take a proxy's configuration away.
   */
  isReady?(): boolean
  /** Why this peer may call nothing but the certificate service, or `undefined` when it may. */
  admit?(peer: XdsPeer): string | undefined
  /** Why this peer may not be this node, or `undefined` when it may. */
  refuse?(node: XdsNode, peer: XdsPeer): string | undefined
  /** A stream said who it is. Called before anything is sent; may publish its view. */
  onNode?(node: XdsNode, connectionId: number): void
  /** The stream ended, however it ended. */
  onGone?(node: XdsNode, connectionId: number): void
  /** The workload behind a proxy is healthy or not (istio-agent's `HealthInformation`). */
  onHealth?(node: XdsNode, healthy: boolean, message: string, connectionId: number): void
  onAnswer?(answer: Answer): void
  /** A proxy asks whether its requests are within a global limit. Absent: nobody counts. */
  onRateLimit?(question: RateLimitQuestion): Promise<RateLimitVerdict>
  /** A proxy gives back what it was granted and did not use. */
  onRateLimitReturn?(question: RateLimitQuestion): void
  /** Somebody asks for a certificate (Istio's CSR service). Absent: none are given here. */
  onCertificate?(question: CertificateQuestion, peer: XdsPeer): Promise<CertificateAnswer>
  /** More methods by path, besides those of the server. */
  readonly services?: ReadonlyMap<
    string,
    (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void
  >
  /** Whoever has an identity asks for JWT-SVIDs, and hears of bundles. Absent: nobody does here. */
  readonly identities?: IdentityService
  /** A client said how much it sent where (LRS). */
  onLoad?(node: XdsNode, reports: readonly LoadReport[]): void
}

/** What the transport knows of a client. */
export interface XdsPeer {
  /** `127.0.0.1:40112`, or `unix`. */
  readonly address: string
  /** Loopback or a unix socket. */
  readonly isLocal: boolean
  readonly isTls: boolean
  /** What the client showed, DER, the leaf first; nobody has verified it. Empty: nothing. */
  readonly chain: readonly Buffer[]
  /** The call's header of that name. */
  readonly authorization: string | undefined
}

export type CertificateAnswer =
  | {
      readonly ok: true
      /** PEM, the leaf first, the root last. */
      readonly chainPem: readonly string[]
    }
  | {
      readonly ok: false
      readonly code:
        | 'unauthenticated'
        | 'permissionDenied'
        | 'invalidArgument'
        | 'resourceExhausted'
        | 'unavailable'
      readonly problem: string
    }

/** What a listener shows to clients; whether they show something is up to them. */
export interface XdsTls {
  /** The leaf first. */
  readonly chainPem: string
  readonly keyPem: string
}

export interface AdsServerOptions {
  /** `sds`: secrets by Envoy's SDS alone, and `services`; nothing of what a control plane has. */
  readonly serves?: 'ads' | 'sds'
  /** Initial pushes under way at the same time; more streams wait. */
  readonly maxInitialPushes?: number
  /** Streams waiting for their initial push beyond which new ones get `RESOURCE_EXHAUSTED`. */
  readonly maxWaiting?: number
  /**
   * R10: a version that more nodes of one kind than this have refused is held back from further
   * nodes of that kind, until another version is published. Default 3.
   */
  readonly quarantineAfter?: number
  /** How often clients are asked to report their load. Default 10,000. */
  readonly loadReportIntervalMs?: number
}

export type ListenTarget =
  | SocketAddress
  /** `mode` of the socket; default 0660. */
  | { readonly path: string; readonly mode?: number }

export interface AdsServer {
  /** Replaces all resources of a view; only what changed by content is sent. */
  publish(view: string, set: ResourceSet, generation: string): void
  /** Forgets a view that nobody needs; its clients keep what they have. */
  drop(view: string): void
  /** May be called for several addresses; returns the address with its real port. */
  listen(target: ListenTarget, tls?: XdsTls): Promise<ListenTarget>
  /** For the handshakes to come, of every listener with TLS. */
  setTls(tls: XdsTls): void
  /** Computed on demand; O(connections × resources). */
  connections(): ConnectionStatus[]
  /** Of the same connections; cheap. */
  connectionIds(): number[]
  /** What is held back because too many nodes refuse it. */
  quarantined(): Quarantined[]
  /** Paths of every gRPC method that is served beside each other. */
  methods(): readonly string[]
  stats(): AdsServerStats
  /** Ends the streams, spread over `graceMs`, and closes the listeners. */
  close(graceMs?: number): Promise<void>
}

export interface AdsServerStats {
  readonly connections: number
  readonly pushes: number
  readonly acks: number
  readonly nacks: number
  readonly bytesSent: number
}

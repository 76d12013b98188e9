/**
 * The metrics of calls that differ only in how they ended: one caller, one
 * cluster, one endpoint. Keeps the slot of every (status, flags) it has seen, and
 * of every gRPC status with them.
 */
import type { Cluster } from '@weft/model'
import type { CallLabels, IstioMetrics } from '@weft/telemetry'
import type { ClusterSlots, ClusterStats } from './cluster-stats.ts'

/** An upstream may answer with any three digits; a client must not fill our memory with them. */
const MAX_ENDINGS = 64

/** How a gRPC call went, beside its HTTP status. */
export interface GrpcEnding {
  /** Empty when there was none. */
  readonly status: string
  readonly requestMessages: number
  readonly responseMessages: number
}

export class CallSeries {
  /** For whoever keeps series: the labels were read from this object. */
  readonly cluster: Cluster | undefined
  /** So were they: over TLS. */
  readonly isSecured: boolean
  readonly #labels: Omit<CallLabels, 'responseFlags'>
  readonly #istio: IstioMetrics
  readonly #stats: ClusterStats
  /** Endings of plain HTTP without flags, by status: nearly all, and cheaper than a text. */
  readonly #plain = new Map<number, number>()
  readonly #flagged = new Map<string, number>()
  #epoch = -1
  #statsEpoch = -1
  #clusterSlots: ClusterSlots | undefined

  constructor(
    labels: Omit<CallLabels, 'responseFlags'>,
    cluster: Cluster | undefined,
    istio: IstioMetrics,
    stats: ClusterStats,
    isSecured = false,
  ) {
    this.isSecured = isSecured
    this.#labels = labels
    this.cluster = cluster
    this.#istio = istio
    this.#stats = stats
  }

  record(
    status: number,
    flags: string,
    attempts: number,
    durationMs: number,
    requestBytes: number,
    responseBytes: number,
    grpc: GrpcEnding | undefined,
  ): void {
    if (this.#epoch !== this.#istio.httpEpoch) this.#forget()
    const known =
      flags === '-'
        ? this.#plain.get(plainKeyOf(status, grpc))
        : this.#flagged.get(keyOf(status, flags, grpc))
    const slot = known ?? this.#resolve(status, flags, grpc)
    this.#istio.recordHttp(slot, durationMs, requestBytes, responseBytes)
    if (grpc !== undefined) {
      this.#istio.recordMessages(slot, grpc.requestMessages, grpc.responseMessages)
    }
    if (this.cluster !== undefined) {
      this.#stats.record(this.#slotsOf(this.cluster), status, attempts)
    }
  }

  #slotsOf(cluster: Cluster): ClusterSlots {
    if (this.#clusterSlots === undefined || this.#statsEpoch !== this.#stats.epoch) {
      this.#clusterSlots = this.#stats.slots(cluster.name)
      this.#statsEpoch = this.#stats.epoch
    }
    return this.#clusterSlots
  }

  #resolve(status: number, flags: string, grpc: GrpcEnding | undefined): number {
    const slot = this.#istio.httpSlot({
      ...this.#labels,
      protocol: grpc === undefined ? 'http' : 'grpc',
      grpcStatus: grpc?.status ?? '',
      responseCode: status,
      responseFlags: flags,
    })
    // Resolving may have pushed another series out: slots kept so far are not to be trusted.
    if (this.#epoch !== this.#istio.httpEpoch) this.#forget()
    if (this.#plain.size + this.#flagged.size >= MAX_ENDINGS) this.#forget()
    if (flags === '-') this.#plain.set(plainKeyOf(status, grpc), slot)
    else this.#flagged.set(keyOf(status, flags, grpc), slot)
    return slot
  }

  #forget(): void {
    this.#plain.clear()
    this.#flagged.clear()
    this.#epoch = this.#istio.httpEpoch
  }
}

const STATUSES = 1_000

/** A number for both statuses: nearly all calls end without a flag, and need no text for a key. */
function plainKeyOf(status: number, grpc: GrpcEnding | undefined): number {
  if (grpc === undefined) return status
  // From -1 (none that gRPC knows) to 16; none at all is apart from 0.
  const said = grpc.status === '' ? -2 : Number(grpc.status)
  return status + STATUSES * (said + 3)
}

function keyOf(status: number, flags: string, grpc: GrpcEnding | undefined): string {
  return grpc === undefined ? `${status}${flags}` : `${status}${flags} ${grpc.status}`
}

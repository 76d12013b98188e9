/**
 * The load reporting service (LRS, P21): gRPC libraries and Envoys say how much they sent where.
 *
 * A client opens the stream with its node and no numbers, and waits to be told what to report. We
 * always ask for all clusters, because grpc-js ignores the first name of a list.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import type { Locality } from '@weft/model'
import type {
  ClusterStats,
  UpstreamLocalityStats,
} from '../gen/envoy/config/endpoint/v3/load_report_pb.js'
import {
  LoadStatsRequestSchema,
  LoadStatsResponseSchema,
} from '../gen/envoy/service/load_stats/v3/lrs_pb.js'
import type { XdsNode } from '../node.ts'
import { nodeOf } from './requests.ts'

/** What one client sent to one cluster since its report before. */
export interface LoadReport {
  readonly cluster: string
  /** Name of the endpoints; empty when it is that of the cluster. */
  readonly service: string
  /** Requests that the client did not send, because of limits or policies. */
  readonly dropped: number
  readonly localities: readonly LocalityLoad[]
}

export interface LocalityLoad {
  readonly locality: Locality
  readonly issued: number
  readonly succeeded: number
  readonly failed: number
  /** At the end of the interval. */
  readonly inProgress: number
}

export interface LoadReporter {
  /** The answer to the message, if it gets one. @throws When it cannot be read. */
  receive(bytes: Uint8Array): Uint8Array | undefined
}

export function loadReporter(
  intervalMs: number,
  onLoad: (node: XdsNode, reports: readonly LoadReport[]) => void,
): LoadReporter {
  let node: XdsNode | undefined
  return {
    receive(bytes) {
      const request = fromBinary(LoadStatsRequestSchema, bytes)
      const isFirst = node === undefined
      if (request.node !== undefined) node = nodeOf(request.node)
      if (node === undefined) throw new Error('the first request has no node')
      if (request.clusterStats.length > 0) onLoad(node, request.clusterStats.map(reportOf))
      return isFirst ? askForAll(intervalMs) : undefined
    },
  }
}

function askForAll(intervalMs: number): Uint8Array {
  const seconds = Math.floor(intervalMs / 1_000)
  const nanos = Math.round((intervalMs - seconds * 1_000) * 1_000_000)
  const response = create(LoadStatsResponseSchema, {
    sendAllClusters: true,
    loadReportingInterval: { seconds: BigInt(seconds), nanos },
  })
  return toBinary(LoadStatsResponseSchema, response)
}

function reportOf(stats: ClusterStats): LoadReport {
  return {
    cluster: stats.clusterName,
    service: stats.clusterServiceName,
    dropped: Number(stats.totalDroppedRequests),
    localities: stats.upstreamLocalityStats.map(localityLoad),
  }
}

function localityLoad(stats: UpstreamLocalityStats): LocalityLoad {
  const { region = '', zone = '', subZone = '' } = stats.locality ?? {}
  return {
    locality: { region, zone, subZone },
    issued: Number(stats.totalIssuedRequests),
    succeeded: Number(stats.totalSuccessfulRequests),
    failed: Number(stats.totalErrorRequests),
    inProgress: Number(stats.totalRequestsInProgress),
  }
}

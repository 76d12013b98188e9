/**
 * Who stands at one end of a request, in Istio's labels, and the header by which
 * Weft proxies tell each other while there is no mutual TLS to say it:
 *
 *     x-weft-peer: <workload>;<namespace>;<app>;<version>;<cluster>
 *
 * It is a hint for metrics, never an identity: whoever can reach the port can
 * write it. No policy reads it.
 */
import type { WorkloadRef } from '@weft/model'

export const PEER_HEADER = 'x-weft-peer'

/** Longer ones are not read: five names of Kubernetes' maximum would be 1,269 bytes, sane ones 100. */
const MAX_HEADER_LENGTH = 512
/** A label value of Kubernetes, plus the escapes that `encodeURIComponent` leaves. */
const MAX_FIELD_LENGTH = 253

/** What Istio says where it knows nothing. */
export const UNKNOWN = 'unknown'

/** The labels of one end, `source_…` or `destination_…` in front of each. */
export interface Peer {
  readonly workload: string
  readonly namespace: string
  /** SPIFFE id; `unknown` without mutual TLS. */
  readonly principal: string
  readonly app: string
  readonly version: string
  readonly cluster: string
  readonly canonicalService: string
  readonly canonicalRevision: string
}

export const UNKNOWN_PEER: Peer = {
  workload: UNKNOWN,
  namespace: UNKNOWN,
  principal: UNKNOWN,
  app: UNKNOWN,
  version: UNKNOWN,
  cluster: UNKNOWN,
  canonicalService: UNKNOWN,
  canonicalRevision: 'latest',
}

/**
 * The labels of a workload. `latest` is the canonical revision of a workload
 * without a version, so its version is unknown, as Istio reports it.
 */
export function peerOf(workload: WorkloadRef): Peer {
  return {
    workload: workload.name,
    namespace: workload.namespace,
    principal: UNKNOWN,
    app: workload.app,
    version: workload.version === 'latest' ? UNKNOWN : workload.version,
    cluster: workload.cluster,
    canonicalService: workload.app,
    canonicalRevision: workload.version,
  }
}

export function renderPeerHeader(workload: WorkloadRef): string {
  const { name, namespace, app, version, cluster } = workload
  return [name, namespace, app, version, cluster].map(encodeURIComponent).join(';')
}

/** The workload a header names, or `undefined` when it is not one of ours. */
export function parsePeerHeader(text: string): WorkloadRef | undefined {
  if (text.length > MAX_HEADER_LENGTH) return undefined
  const fields = text.split(';')
  if (fields.length !== 5) return undefined
  const [name, namespace, app, version, cluster] = fields.map(decodeField)
  if (
    name === undefined ||
    namespace === undefined ||
    app === undefined ||
    version === undefined ||
    cluster === undefined
  ) {
    return undefined
  }
  return { name, namespace, app, version, cluster }
}

function decodeField(field: string): string | undefined {
  if (!/^[\w.~%-]{1,253}$/.test(field)) return undefined
  try {
    const decoded = decodeURIComponent(field)
    return /^[\w./~ -]+$/.test(decoded) && decoded.length <= MAX_FIELD_LENGTH ? decoded : undefined
  } catch {
    return undefined
  }
}

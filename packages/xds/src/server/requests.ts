/** Bytes of discovery requests → what `receive.ts` understands. */
import { fromBinary } from '@bufbuild/protobuf'
import type { Node } from '../gen/envoy/config/core/v3/base_pb.js'
import {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
} from '../gen/envoy/service/discovery/v3/discovery_pb.js'
import type { XdsNode } from '../node.ts'
import { readTwoTexts } from '../wire/protobuf.ts'
import type { DeltaRequest, SotwRequest } from './receive.ts'

/** `node` comes with the first request of a stream at least. */
export interface Read<T> {
  readonly request: T
  readonly node: XdsNode | undefined
}

const NO_NAMES: readonly string[] = []
const NO_VERSIONS: ReadonlyMap<string, string> = new Map()

/** @throws When the bytes are no such message. */
export function readDelta(bytes: Buffer): Read<DeltaRequest> {
  // Nearly every request is an ACK: the type and the nonce, and nothing else.
  const ack = readTwoTexts(bytes, 2, 6)
  if (ack !== undefined) {
    const [typeUrl, nonce] = ack
    const request = {
      typeUrl,
      nonce,
      error: undefined,
      subscribe: NO_NAMES,
      unsubscribe: NO_NAMES,
      initialVersions: NO_VERSIONS,
    }
    return { request, node: undefined }
  }
  const message = fromBinary(DeltaDiscoveryRequestSchema, bytes)
  return {
    request: {
      typeUrl: message.typeUrl,
      nonce: message.responseNonce,
      error: message.errorDetail?.message,
      subscribe: message.resourceNamesSubscribe,
      unsubscribe: message.resourceNamesUnsubscribe,
      initialVersions: new Map(Object.entries(message.initialResourceVersions)),
    },
    node: message.node === undefined ? undefined : nodeOf(message.node),
  }
}

/** @throws When the bytes are no such message. */
export function readSotw(bytes: Uint8Array): Read<SotwRequest> {
  const message = fromBinary(DiscoveryRequestSchema, bytes)
  return {
    request: {
      typeUrl: message.typeUrl,
      nonce: message.responseNonce,
      error: message.errorDetail?.message,
      names: message.resourceNames,
      version: message.versionInfo,
    },
    node: message.node === undefined ? undefined : nodeOf(message.node),
  }
}

export function nodeOf(node: Node): XdsNode {
  const { region = '', zone = '', subZone = '' } = node.locality ?? {}
  return {
    id: node.id,
    cluster: node.cluster,
    locality: { region, zone, subZone },
    metadata: node.metadata ?? {},
    userAgentName: node.userAgentName,
    features: node.clientFeatures,
  }
}

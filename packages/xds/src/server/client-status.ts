/**
 * The client status discovery service (CSDS, P20): what every connected client was sent and what it
 * said to that, for tools that speak Envoy's own protocol.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { ClientResourceStatus } from '../gen/envoy/admin/v3/config_dump_shared_pb.js'
import {
  type ClientConfig_GenericXdsConfig,
  ClientConfig_GenericXdsConfigSchema,
  ClientConfigSchema,
  type ClientStatusRequest,
  ClientStatusRequestSchema,
  ClientStatusResponseSchema,
  ConfigStatus,
} from '../gen/envoy/service/status/v3/csds_pb.js'
import type { StringMatcher } from '../gen/envoy/type/matcher/v3/string_pb.js'
import type { XdsNode } from '../node.ts'
import type { ConnectionStatus, DeliveryState, ResourceDelivery } from './ads-status.ts'
import { SDS } from './rules.ts'
import { GONE } from './stream-state.ts'

/** The bytes of a resource, if this version is still known. */
export type ContentOf = (
  view: string,
  typeUrl: string,
  name: string,
  version: string,
) => Uint8Array | undefined

/**
 * @returns The bytes of a `ClientStatusResponse` to the bytes of a `ClientStatusRequest`.
 * @throws When the request cannot be read, or asks for what we cannot tell.
 */
export function answerClientStatus(
  bytes: Uint8Array,
  connections: () => readonly ConnectionStatus[],
  contentOf: ContentOf,
): Uint8Array {
  const request = fromBinary(ClientStatusRequestSchema, bytes)
  const matches = nodeFilter(request)
  const content: ContentOf = request.excludeResourceContents ? () => undefined : contentOf
  const config = connections()
    .filter(({ node }) => matches(node))
    .map((connection) =>
      create(ClientConfigSchema, {
        node: nodeInit(connection.node),
        genericXdsConfigs: connection.types.flatMap(({ typeUrl, resources }) =>
          resources.map((one) => genericConfig(typeUrl, one, connection.view, content)),
        ),
      }),
    )
  return toBinary(ClientStatusResponseSchema, create(ClientStatusResponseSchema, { config }))
}

const STATUS: Readonly<Record<DeliveryState, readonly [ConfigStatus, ClientResourceStatus]>> = {
  pending: [ConfigStatus.NOT_SENT, ClientResourceStatus.REQUESTED],
  sent: [ConfigStatus.STALE, ClientResourceStatus.REQUESTED],
  acked: [ConfigStatus.SYNCED, ClientResourceStatus.ACKED],
  rejected: [ConfigStatus.ERROR, ClientResourceStatus.NACKED],
  withheld: [ConfigStatus.NOT_SENT, ClientResourceStatus.REQUESTED],
}

function genericConfig(
  typeUrl: string,
  { name, state, version, message }: ResourceDelivery,
  view: string,
  contentOf: ContentOf,
): ClientConfig_GenericXdsConfig {
  const isAbsent = state === 'acked' && version === GONE
  const [configStatus, clientStatus] = STATUS[state]
  // Private keys are for their owners only.
  const hasContent = state === 'acked' && typeUrl !== SDS
  const value = hasContent ? contentOf(view, typeUrl, name, version) : undefined
  return create(ClientConfig_GenericXdsConfigSchema, {
    typeUrl,
    name,
    configStatus,
    clientStatus: isAbsent ? ClientResourceStatus.DOES_NOT_EXIST : clientStatus,
    // Of a version that was refused or not sent, the client has nothing.
    ...(state === 'acked' && { versionInfo: version }),
    ...(value !== undefined && { xdsConfig: { typeUrl, value } }),
    ...(message !== undefined && { errorState: { details: message, versionInfo: version } }),
  })
}

function nodeInit({ id, cluster, locality, metadata, userAgentName, features }: XdsNode) {
  // JSON on both sides; the types differ in what is readonly.
  const json = structuredClone(metadata) as { [key: string]: never }
  return { id, cluster, locality, metadata: json, userAgentName, clientFeatures: [...features] }
}

/** A client is meant if any of the matchers takes it, or if there are none. */
function nodeFilter({ nodeMatchers }: ClientStatusRequest): (node: XdsNode) => boolean {
  if (nodeMatchers.length === 0) return () => true
  const predicates = nodeMatchers.map(({ nodeId, nodeMetadatas }) => {
    if (nodeMetadatas.length > 0) throw new Error('node_metadatas is not supported')
    return nodeId === undefined ? () => true : textFilter(nodeId)
  })
  return ({ id }) => predicates.some((matches) => matches(id))
}

function textFilter({ matchPattern, ignoreCase }: StringMatcher): (text: string) => boolean {
  const fold = (text: string) => (ignoreCase ? text.toLowerCase() : text)
  switch (matchPattern.case) {
    case 'exact':
      return (text) => fold(text) === fold(matchPattern.value)
    case 'prefix':
      return (text) => fold(text).startsWith(fold(matchPattern.value))
    case 'suffix':
      return (text) => fold(text).endsWith(fold(matchPattern.value))
    case 'contains':
      return (text) => fold(text).includes(fold(matchPattern.value))
    default:
      throw new Error(`node_id.${matchPattern.case ?? 'match_pattern'} is not supported`)
  }
}

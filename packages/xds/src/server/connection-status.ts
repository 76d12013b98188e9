/** The state of a stream as plain data for people and roll-ups. */
import type { XdsNode } from '../node.ts'
import type { ConnectionStatus, ResourceDelivery, TypeDelivery } from './ads-status.ts'
import type { Connection } from './connection.ts'
import type { View } from './registry.ts'
import { GONE, type TypeState } from './stream-state.ts'

export function statusOf(
  connection: Connection,
  node: XdsNode,
  viewKey: string,
  view: View | undefined,
): ConnectionStatus {
  const { id, kind, protocol, connectedAtMs, ackedGeneration, state } = connection
  return {
    id,
    node,
    kind,
    view: viewKey,
    protocol,
    connectedAtMs,
    ...(ackedGeneration === undefined ? {} : { ackedGeneration }),
    types: [...state.types].map(([typeUrl, type]) => typeDelivery(typeUrl, type, view)),
  }
}

function typeDelivery(typeUrl: string, type: TypeState, view: View | undefined): TypeDelivery {
  const names = new Set([
    ...(type.wildcard ? (view?.names(typeUrl) ?? []) : type.names),
    ...type.names,
  ])
  return {
    typeUrl,
    subscribed: [...(type.wildcard ? ['*'] : []), ...type.names],
    resources: [...names].map((name) => delivery(typeUrl, type, name, view)),
    ...(type.nack === undefined ? {} : { nack: type.nack }),
  }
}

function delivery(
  typeUrl: string,
  type: TypeState,
  name: string,
  view: View | undefined,
): ResourceDelivery {
  const sent = type.sent.get(name)
  const version = view?.get(typeUrl, name)?.version ?? sent?.version ?? GONE
  if (sent === undefined) return { name, state: 'pending', version }
  if (sent.rejected && sent.version === version) {
    return { name, state: 'rejected', version, message: sent.message ?? '' }
  }
  if (type.inFlight?.names.includes(name)) return { name, state: 'sent', version: sent.version }
  return { name, state: sent.version === version ? 'acked' : 'pending', version }
}

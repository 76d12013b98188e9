/** The state of a stream as plain data for people and roll-ups. */
import type { XdsNode } from '../node.ts'
import type { ConnectionStatus, ResourceDelivery, TypeDelivery } from './ads-status.ts'
import { cannotBind } from './cannot-bind.ts'
import type { Connection } from './connection.ts'
import type { Quarantine } from './quarantine.ts'
import type { View } from './registry.ts'
import { LDS } from './rules.ts'
import { GONE, type Nack, type TypeState } from './stream-state.ts'

type IsHeld = (typeUrl: string, name: string, version: string) => boolean

export function statusOf(
  connection: Connection,
  node: XdsNode,
  viewKey: string,
  view: View | undefined,
  quarantine: Quarantine,
): ConnectionStatus {
  const isHeld: IsHeld = (typeUrl, name, version) =>
    quarantine.holds(connection.kind, typeUrl, name, version)
  const { id, kind, protocol, connectedAtMs, ackedGeneration, state } = connection
  return {
    id,
    node,
    kind,
    view: viewKey,
    protocol,
    connectedAtMs,
    ...(ackedGeneration === undefined ? {} : { ackedGeneration }),
    types: [...state.types].map(([typeUrl, type]) => typeDelivery(typeUrl, type, view, isHeld)),
  }
}

function typeDelivery(
  typeUrl: string,
  type: TypeState,
  view: View | undefined,
  isHeld: IsHeld,
): TypeDelivery {
  const names = new Set([
    ...(type.wildcard ? (view?.names(typeUrl) ?? []) : type.names),
    ...type.names,
  ])
  return {
    typeUrl,
    subscribed: [...(type.wildcard ? ['*'] : []), ...type.names],
    resources: [...names].map((name) => delivery(typeUrl, type, name, view, isHeld)),
    ...(type.nack === undefined ? {} : { nack: nackOf(type.nack) }),
  }
}

function nackOf({ atMs, message, count }: Nack): NonNullable<TypeDelivery['nack']> {
  return { atMs, message, count }
}

function delivery(
  typeUrl: string,
  type: TypeState,
  name: string,
  view: View | undefined,
  isHeld: IsHeld,
): ResourceDelivery {
  const sent = type.sent.get(name)
  const version = view?.get(typeUrl, name)?.version ?? sent?.version ?? GONE
  if (sent?.rejected && sent.version === version) {
    const message = sent.message ?? ''
    const unbound = typeUrl === LDS ? cannotBind(name, message) : undefined
    if (unbound === undefined) return { name, state: 'rejected', version, message }
    return { name, state: 'rejected', version, message: unbound, isUnbound: true }
  }
  if (sent?.version !== version && isHeld(typeUrl, name, version)) {
    const message = 'held back: too many proxies of this kind refuse this version'
    return { name, state: 'withheld', version, message }
  }
  if (sent === undefined) return { name, state: 'pending', version }
  if (type.inFlight?.names.includes(name)) return { name, state: 'sent', version: sent.version }
  return { name, state: sent.version === version ? 'acked' : 'pending', version }
}

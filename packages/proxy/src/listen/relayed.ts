/**
 * What a PROXY header said of a client beside its addresses. It is remembered by the client's
 * address, the value itself: that is what everything of a connection has, under TLS and in HTTP
 * streams as well, and it goes with the last of them.
 */
import type { ProxyHeaderRules, SocketAddress, TlvChoice } from '@weft/model'
import type { ProxyTlv } from '@weft/wire'

export interface Relayed {
  /** Those that the listener keeps, in the header's order. */
  readonly tlvs: readonly ProxyTlv[]
  /** By namespace and key. */
  readonly metadata: ReadonlyMap<string, Readonly<Record<string, string>>>
}

const byAddress = new WeakMap<SocketAddress, Relayed>()
/** Where no listener keeps anything, requests do not look. */
let isUsed = false

/** Nothing is noted where the rules want none of it. */
export function noteRelayed(
  client: SocketAddress,
  tlvs: readonly ProxyTlv[],
  { keeps, metadata = [] }: ProxyHeaderRules,
): void {
  const noted: Relayed = { tlvs: chosenTlvs(tlvs, keeps), metadata: metadataOf(tlvs, metadata) }
  if (noted.tlvs.length === 0 && noted.metadata.size === 0) return
  isUsed = true
  byAddress.set(client, noted)
}

export function relayedOf(client: SocketAddress): Relayed | undefined {
  return isUsed ? byAddress.get(client) : undefined
}

export function chosenTlvs(
  tlvs: readonly ProxyTlv[],
  choice: TlvChoice | undefined,
): readonly ProxyTlv[] {
  if (choice === 'all') return tlvs
  return choice === undefined ? [] : tlvs.filter(({ type }) => choice.includes(type))
}

/** A later TLV of a type, and a later rule, holds. */
function metadataOf(
  tlvs: readonly ProxyTlv[],
  rules: NonNullable<ProxyHeaderRules['metadata']>,
): Relayed['metadata'] {
  const all = new Map<string, Record<string, string>>()
  for (const { type, namespace, key } of rules) {
    const value = tlvs.findLast((tlv) => tlv.type === type)?.value
    if (value === undefined) continue
    const values = all.get(namespace) ?? (Object.create(null) as Record<string, string>)
    values[key] = Buffer.from(value).toString()
    all.set(namespace, values)
  }
  return all
}

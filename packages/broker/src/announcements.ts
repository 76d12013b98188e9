/**
 * What the broker tells peers unasked. Only those that said they understand it ever get such a
 * frame: one METADATA_PUSH ends the connection of rsocket-core 1.0.0-alpha.3 on Node.
 */
import { EVENT_MIME, renderComposite, renderMetadataPush } from '@weft/wire'
import type { Leg } from './leg.ts'

const CLUSTER_CHANGED = 'com.alibaba.rsocket.upstream.UpstreamClusterChangedEvent'

/** Sends `{"<name>": …}` to a peer of ours that takes events; to nobody else. */
export function tellEvent(leg: Leg, event: Readonly<Record<string, unknown>>): void {
  if (leg.facts.isAlibaba || !leg.facts.features.has('mpush')) return
  const content = Buffer.from(JSON.stringify(event))
  leg.sendFrame(renderMetadataPush(renderComposite([{ mime: EVENT_MIME, content }])))
}

/**
 * Tells where brokers are from now on.
 *
 * @param uris As peers dial them, for example `tcp://broker-1.example:9999`. Alibaba's clients
 * are told nothing when there is none: they would be left without any.
 * @param zones Of each URI; empty: not known.
 */
export function tellBrokers(
  leg: Leg,
  uris: readonly string[],
  zones: readonly string[],
  from: ClusterEventSource,
): void {
  tellEvent(leg, { brokers: zones.length === 0 ? { uris } : { uris, zones } })
  if (!leg.facts.isAlibaba || !leg.facts.features.has('mpush') || uris.length === 0) return
  const event = {
    specversion: '1.0',
    id: from.eventId,
    time: new Date(from.nowMs).toISOString(),
    type: CLUSTER_CHANGED,
    source: `broker://${from.broker}/?id=${from.broker}`,
    datacontenttype: 'application/json',
    data: { group: '', interfaceName: '*', version: '', uris, defaultUri: '' },
  }
  leg.sendFrame(renderMetadataPush(Buffer.from(JSON.stringify(event))))
}

export interface ClusterEventSource {
  readonly broker: string
  readonly eventId: string
  /** Wall clock. */
  readonly nowMs: number
}

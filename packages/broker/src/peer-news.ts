/**
 * What a peer tells of itself after SETUP, in METADATA_PUSH: Weft's events, or Alibaba's
 * CloudEvents. Both say what holds from now on, so that saying it again does no harm.
 */
import { parseStrictJson } from '@weft/base'
import { readComposite, readConnectionEvent } from '@weft/wire'
import { offeredServices } from './hello.ts'
import type { OfferedService, PeerFacts } from './peer-facts.ts'

export interface PeerNews {
  readonly add: readonly OfferedService[]
  readonly remove: readonly OfferedService[]
  /** The number under which the peer waits for an answer. */
  readonly seq: number | undefined
  /** Whether it wants requests; absent: as before. */
  readonly isServing?: boolean
}

const NOTHING: PeerNews = { add: [], remove: [], seq: undefined }
const CLOUD_EVENTS_MIME = 'application/cloudevents+json'
const ALIBABA_EVENTS = 'com.alibaba.rsocket.events.'
/** AppStatusEvent: 0 connected, 1 serving, 2 out of service, −1 stopped. */
const SERVING = 1
const NOT_SERVING: readonly unknown[] = [2, -1]
const MAX_BYTES = 65_536

/** Undefined: it says nothing about the instance, or nothing that can be read or believed. */
export function readPeerNews(metadata: Uint8Array, facts: PeerFacts): PeerNews | undefined {
  return facts.isAlibaba ? readCloudEvent(metadata, facts) : readWeftEvent(metadata)
}

function readWeftEvent(metadata: Uint8Array): PeerNews | undefined {
  const event = readConnectionEvent(metadata)
  if (event?.status === 'serving' || event?.status === 'draining') {
    return { ...NOTHING, isServing: event.status === 'serving' }
  }
  const services = event?.services
  if (!isRecord(services)) return undefined
  const { seq } = services
  return {
    add: offeredServices(services.add, 'name'),
    remove: offeredServices(services.remove, 'name'),
    seq: typeof seq === 'number' && Number.isSafeInteger(seq) ? seq : undefined,
  }
}

function readCloudEvent(metadata: Uint8Array, { instance }: PeerFacts): PeerNews | undefined {
  const event = cloudEventOf(metadata)
  const { type, source, data } = event ?? {}
  if (typeof type !== 'string' || !type.startsWith(ALIBABA_EVENTS)) return undefined
  // Nobody speaks for another instance.
  if (instance === undefined || appOf(source) !== instance.id || !isRecord(data)) return undefined
  const services = offeredServices(data.services, 'service')
  switch (type.slice(ALIBABA_EVENTS.length)) {
    case 'ServicesExposedEvent':
      return { ...NOTHING, add: services }
    case 'ServicesHiddenEvent':
      return { ...NOTHING, remove: services }
    case 'AppStatusEvent':
      if (data.status === SERVING) return { ...NOTHING, isServing: true }
      return NOT_SERVING.includes(data.status) ? { ...NOTHING, isServing: false } : undefined
    default:
      // PortsUpdateEvent and others: who dials out has no ports that anybody would call.
      return undefined
  }
}

/** JSON as it is, or in an entry of its own. */
function cloudEventOf(metadata: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  const content =
    metadata[0] === 0x7b
      ? metadata
      : readComposite(metadata)?.find(({ mime }) => mime === CLOUD_EVENTS_MIME)?.content
  if (content === undefined || content.length > MAX_BYTES) return undefined
  try {
    const event = parseStrictJson(Buffer.from(content).toString('utf8'), { maxDepth: 8 })
    return isRecord(event) ? event : undefined
  } catch {
    return undefined
  }
}

/** `app://<uuid>/?ip=…` */
function appOf(source: unknown): string | undefined {
  return typeof source === 'string' ? /^app:\/\/([^/?#]+)/.exec(source)?.[1] : undefined
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What an instance offers after its news; the same list when nothing changes. */
export function servicesAfter(
  services: readonly OfferedService[],
  { add, remove }: PeerNews,
): readonly OfferedService[] {
  const gone = new Set(remove.map(keyOf))
  const known = new Set(services.map(keyOf))
  const kept = services.filter((each) => !gone.has(keyOf(each)))
  const fresh = add.filter((each) => !known.has(keyOf(each)) && !gone.has(keyOf(each)))
  return fresh.length === 0 && kept.length === services.length ? services : [...kept, ...fresh]
}

function keyOf({ group, service, version }: OfferedService): string {
  return JSON.stringify([group, service, version])
}

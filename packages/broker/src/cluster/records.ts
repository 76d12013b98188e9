/**
 * What brokers tell each other through etcd (§ 15.1 of the design):
 *
 *     <prefix>brokers/<id>                              where the broker is
 *     <prefix>eps/<ns>/<service>/<broker>/<connection>  who offers what over which connection
 *
 * Segments are percent-encoded. What cannot be read is passed over: brokers of other versions
 * share the tree.
 */
import { parseStrictJson } from '@weft/base'
import { gsvServiceKey } from '@weft/wire'
import type { Places } from '../mesh/kind-places.ts'
import type { InstanceFacts, OfferedService, PeerFacts } from '../peer-facts.ts'

export interface BrokerRecord {
  readonly id: string
  /** Of this start of it. */
  readonly incarnation: string
  /** `host:port` that other brokers dial. */
  readonly addr: string
  /** URIs that applications dial. */
  readonly external: readonly string[]
  readonly zone: string
  readonly state: 'serving' | 'draining'
  /** Where it offers kinds of workloads to the mesh. */
  readonly places: Places
}

export interface EndpointRecord {
  readonly broker: string
  readonly conn: string
  readonly instance: Omit<InstanceFacts, 'services' | 'resting'>
  readonly service: OfferedService
  readonly serving: boolean
  /** SPIFFE ID; empty: anonymous. */
  readonly principal: string
  /** It takes HTTP messages. */
  readonly isHttp: boolean
  readonly isAlibaba: boolean
  /** Address that it dialled from. */
  readonly host: string
  /** The etcd revision at connect; absent in the first write, whose own revision it is. */
  readonly epoch: number | undefined
  /** It came while etcd was away, at this time (wall clock): the epoch says nothing then. */
  readonly lateMs: number | undefined
}

export type ClusterRecord =
  | { readonly kind: 'broker'; readonly record: BrokerRecord }
  | { readonly kind: 'endpoint'; readonly record: EndpointRecord }

const JSON_LIMITS = { maxDepth: 6 }

export function brokerKey(prefix: string, id: string): string {
  return `${prefix}brokers/${encodeURIComponent(id)}`
}

export function endpointKey(
  prefix: string,
  {
    broker,
    conn,
    namespace,
    service,
  }: {
    readonly broker: string
    readonly conn: string
    readonly namespace: string
    readonly service: OfferedService
  },
): string {
  const segments = [namespace, gsvServiceKey(service), broker, conn].map(encodeURIComponent)
  return `${prefix}eps/${segments.join('/')}`
}

export function brokerValue({ id: _id, ...value }: BrokerRecord): string {
  return JSON.stringify({ v: 1, ...value })
}

export function endpointValue(record: EndpointRecord): string {
  const { broker: _broker, conn: _conn, instance, ...rest } = record
  const { id, app, link, labels, weight, zone, namespace } = instance
  return JSON.stringify({
    v: 1,
    ...{ instance: id, app, ns: namespace, link, labels, weight, zone },
    ...rest,
  })
}

/** Whose key it is; undefined: it is none of ours. */
export function brokerOfKey(prefix: string, key: string): string | undefined {
  return partsOf(prefix, key)?.broker
}

interface KeyParts {
  readonly broker: string
  readonly conn: string | undefined
}

function partsOf(prefix: string, key: string): KeyParts | undefined {
  if (!key.startsWith(prefix)) return undefined
  const segments = key.slice(prefix.length).split('/')
  try {
    const [kind, ...names] = segments.map(decodeURIComponent)
    const [first = '', , broker = '', conn = ''] = names
    if (kind === 'brokers' && names.length === 1) return { broker: first, conn: undefined }
    if (kind === 'eps' && names.length === 4) return { broker, conn }
  } catch {
    // Not percent-encoded: not ours.
  }
  return undefined
}

/** The key of an endpoint's connection among all of the cluster; undefined: it is no endpoint's. */
export function connOfKey(prefix: string, key: string): string | undefined {
  const parts = partsOf(prefix, key)
  return parts?.conn === undefined ? undefined : connId(parts.broker, parts.conn)
}

export function connId(broker: string, conn: string): string {
  return `${encodeURIComponent(broker)}/${conn}`
}

/** Undefined: it cannot be read. @param revision Of the write. */
export function readRecord(
  prefix: string,
  key: string,
  value: Buffer,
  revision: number,
): ClusterRecord | undefined {
  const parts = partsOf(prefix, key)
  const json = parts && readJson(value)
  if (parts === undefined || json === undefined || json.v !== 1) return undefined
  if (parts.conn === undefined) return brokerRecord(parts.broker, json)
  return endpointRecord(parts.broker, parts.conn, json, revision)
}

function brokerRecord(id: string, json: Json): ClusterRecord | undefined {
  const { incarnation, addr, external, zone, state } = json
  if (typeof addr !== 'string' || typeof incarnation !== 'string') return undefined
  const record: BrokerRecord = {
    ...{ id, incarnation, addr, external: textsIn(external), zone: textOf(zone) },
    state: state === 'draining' ? 'draining' : 'serving',
    places: labelsOf(json.places),
  }
  return { kind: 'broker', record }
}

function endpointRecord(
  broker: string,
  conn: string,
  json: Json,
  revision: number,
): ClusterRecord | undefined {
  const service = serviceOf(json.service)
  const id = textOf(json.instance)
  if (service === undefined || id === '') return undefined
  const record: EndpointRecord = {
    ...{ broker, conn, service },
    instance: {
      id,
      app: textOf(json.app) || id,
      namespace: textOf(json.ns) || 'default',
      link: countOf(json.link) ?? 0,
      labels: labelsOf(json.labels),
      weight: Math.max(1, countOf(json.weight) ?? 1),
      zone: textOf(json.zone),
    },
    serving: json.serving !== false,
    principal: textOf(json.principal),
    isHttp: json.isHttp === true,
    isAlibaba: json.isAlibaba === true,
    host: textOf(json.host),
    epoch: countOf(json.epoch) ?? revision,
    lateMs: countOf(json.lateMs),
  }
  return { kind: 'endpoint', record }
}

function serviceOf(value: unknown): OfferedService | undefined {
  if (!isRecord(value)) return undefined
  const service = textOf(value.service)
  const port = countOf(value.port)
  if (service === '') return undefined
  return {
    ...{ service, group: textOf(value.group), version: textOf(value.version) },
    ...(port === undefined ? {} : { port }),
  }
}

/** What a leg at another broker is, as far as policy and balancing are concerned. */
export function remoteFacts(records: readonly EndpointRecord[]): PeerFacts | undefined {
  const [first] = records
  if (first === undefined) return undefined
  const { instance, principal, isAlibaba, isHttp, broker } = first
  return {
    setup: { keepaliveMs: 0x7fff_ffff, maxLifetimeMs: 0x7fff_ffff, lease: false, dataMime: '' },
    metadataForm: 'composite',
    isAlibaba,
    identity: { principal: principal === '' ? undefined : principal, claims: undefined },
    instance: {
      ...instance,
      resting: false,
      services: records.map(({ service }) => service),
    },
    // It is not our connection: nothing is ever pushed there.
    features: new Set(isHttp ? (['http'] as const) : []),
    skipsFilters: true,
    via: broker,
  }
}

type Json = Readonly<Record<string, unknown>>

function readJson(value: Buffer): Json | undefined {
  try {
    const json = parseStrictJson(value.toString('utf8'), JSON_LIMITS)
    return isRecord(json) ? json : undefined
  } catch {
    return undefined
  }
}

function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function textsIn(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : []
}

function countOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}

function labelsOf(value: unknown): Readonly<Record<string, string>> {
  if (!isRecord(value)) return {}
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, text]) => (typeof text === 'string' ? [[key, text]] : [])),
  )
}

/**
 * What a SETUP says of the process behind it: Weft's hello, Alibaba's application metadata with
 * its service registry, or nothing – a pure requester.
 */
import { parseStrictJson } from '@weft/base'
import {
  ALIBABA_ID,
  COMPOSITE_MIME,
  HELLO_MIME,
  type RSocketCredentials,
  readAuthentication,
  readComposite,
  type Setup,
} from '@weft/wire'
import type { BrokerFacts, InstanceFacts, OfferedService, PeerFacts } from './peer-facts.ts'
import type { MetadataForm } from './request-call.ts'

const ROUTING_MIME = 'message/x.rsocket.routing.v0'

export interface Hello {
  readonly metadataForm: MetadataForm
  readonly isAlibaba: boolean
  readonly credentials: RSocketCredentials | undefined
  readonly instance: InstanceFacts | undefined
  /** It is another broker. */
  readonly broker?: BrokerFacts
  readonly features: PeerFacts['features']
}

const JSON_LIMITS = { maxDepth: 8 }
const MAX_JSON_BYTES = 65_536
const NO_FEATURES: PeerFacts['features'] = new Set()

/** A text says what is wrong: REJECTED_SETUP. */
export function readHello(setup: Setup): Hello | string {
  const metadataForm = setup.metadataMime === ROUTING_MIME ? 'routing' : 'composite'
  const plain = {
    metadataForm,
    isAlibaba: false,
    credentials: undefined,
    instance: undefined,
  } as const
  const { metadata } = setup.payload
  if (metadata === undefined || setup.metadataMime !== COMPOSITE_MIME) {
    return { ...plain, features: NO_FEATURES }
  }
  const entries = readComposite(metadata)
  if (entries === undefined) return 'the metadata of SETUP ends within an entry'
  const found = new Map(entries.map(({ mime, content }) => [mime, content]))
  const authentication = found.get('message/x.rsocket.authentication.v0')
  const credentials = authentication && readAuthentication(authentication)
  if (authentication !== undefined && credentials === undefined) {
    return 'the authentication entry of SETUP is malformed'
  }
  const hello = found.get(HELLO_MIME)
  const application = found.get(ALIBABA_ID.application)
  if (hello !== undefined) return readWeftHello(hello, { ...plain, credentials })
  if (application !== undefined) {
    const registry = found.get(ALIBABA_ID.serviceRegistry)
    return readAlibabaHello(application, registry, { ...plain, credentials })
  }
  return { ...plain, credentials, features: NO_FEATURES }
}

type Base = Omit<Hello, 'features'>

function readWeftHello(content: Uint8Array, base: Base): Hello | string {
  const json = readJson(content)
  if (json === undefined) return `the entry ${HELLO_MIME} is not JSON`
  if (json.v !== 1) return `the entry ${HELLO_MIME} must have v 1, got ${String(json.v)}`
  const broker = brokerOf(json)
  if (broker !== undefined) return { ...base, broker, features: new Set(['mpush']) }
  const id = textOf(json.instance)
  const app = textOf(json.app)
  if (id === undefined || app === undefined) {
    return `the entry ${HELLO_MIME} must have instance and app`
  }
  const features = new Set(['mpush', 'goaway', 'lease', 'http', 'metrics'] as const)
  const announced = Array.isArray(json.features) ? json.features : []
  for (const feature of features) if (!announced.includes(feature)) features.delete(feature)
  return {
    ...base,
    features,
    instance: {
      id,
      app,
      namespace: textOf(json.ns) ?? 'default',
      link: countOf(json.link) ?? 0,
      labels: textsOf(json.labels),
      weight: Math.max(1, countOf(json.weight) ?? 1),
      zone: textOf(json.zone) ?? '',
      resting: json.status === 'draining',
      services: offeredServices(json.services, 'name'),
    },
  }
}

function brokerOf(json: Readonly<Record<string, unknown>>): BrokerFacts | undefined {
  const id = textOf(json.broker)
  return id === undefined ? undefined : { id, incarnation: textOf(json.incarnation) ?? '' }
}

function readAlibabaHello(
  application: Uint8Array,
  registry: Uint8Array | undefined,
  base: Base,
): Hello | string {
  const json = readJson(application)
  if (json === undefined) return 'RST-500410 the application metadata is not JSON'
  const id = textOf(json.uuid)
  if (id === undefined) return 'RST-500410 the application metadata has no uuid'
  const published = registry === undefined ? undefined : readJson(registry)?.published
  return {
    ...base,
    isAlibaba: true,
    features: new Set(String(json.sdk).startsWith('Alibaba-RSocket') ? (['mpush'] as const) : []),
    instance: {
      id,
      app: textOf(json.name) ?? id,
      namespace: textOf(json.nameSpace) ?? 'default',
      link: 0,
      labels: textsOf(json.metadata),
      weight: Math.max(1, countOf(json.powerRating) ?? 1),
      zone: '',
      resting: false,
      services: offeredServices(published, 'service'),
    },
  }
}

function readJson(content: Uint8Array): Record<string, unknown> | undefined {
  if (content.length > MAX_JSON_BYTES) return undefined
  try {
    const parsed = parseStrictJson(Buffer.from(content).toString('utf8'), JSON_LIMITS)
    return isRecord(parsed) ? parsed : undefined
  } catch {
    return undefined
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' && value.length <= 1024 ? value : undefined
}

function countOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 1e6
    ? value
    : undefined
}

function textsOf(value: unknown): Readonly<Record<string, string>> {
  if (!isRecord(value)) return {}
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, text]) => (typeof text === 'string' ? [[key, text]] : [])),
  )
}

/** The services of a list; what names none is passed over. */
export function offeredServices(value: unknown, nameField: string): readonly OfferedService[] {
  if (!Array.isArray(value)) return []
  return value.filter(isRecord).flatMap((each) => {
    const service = textOf(each[nameField])
    if (service === undefined) return []
    const port = countOf(each.port)
    return [
      {
        service,
        group: textOf(each.group) ?? '',
        version: textOf(each.version) ?? '',
        ...(port === undefined || port === 0 || port > 65_535 ? {} : { port }),
      },
    ]
  })
}

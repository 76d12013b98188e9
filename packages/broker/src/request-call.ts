/**
 * A request as decisions see it: a virtual HTTP request, `POST /<service>/<method>` on a mesh
 * host, with a header per routing tag – or, where an HTTP message travels, that message itself.
 * Read from the metadata once; nothing of the frame is kept.
 */

import type { RequestView } from '@weft/model'
import { canonicalPath } from '@weft/traffic'
import {
  ALIBABA_ID,
  type BinaryRouting,
  CompositeReader,
  type GsvRoute,
  HOP_MIME,
  HTTP_ENTRY_MIME,
  type HttpRequestEntry,
  type Interaction,
  METADATA_ID,
  mimeId,
  parseGsv,
  type RSocketCredentials,
  readAuthentication,
  readBinaryRouting,
  readHttpRequest,
  readMimes,
  readRoutingTags,
  readZipkin,
  type ZipkinTrace,
} from '@weft/wire'
import { agreedKey, DIFFERENT_ROUTES } from './agreed-key.ts'
import { NO_ROUTE } from './alibaba-dialect.ts'

export interface RequestCall extends RequestView {
  readonly interaction: Interaction
  /** The first routing tag, as sent. */
  readonly key: string
  readonly route: GsvRoute
  /** Tags after the route, `k=v`, by lower-case name. */
  readonly tags: ReadonlyMap<string, string>
  readonly credentials: RSocketCredentials | undefined
  readonly trace: ZipkinTrace | undefined
  /**
   * It is an HTTP request: authority, path and fields are its own. The path is in its canonical
   * form: of two ways to write one path rules must not know just one.
   */
  readonly isHttp: boolean
  /** Only Alibaba's hash says which method it is: no rule about methods can tell. */
  readonly isHashed: boolean
  /** The path as it came. */
  readonly sentPath: string
  /** Every line of a field by its lower-case name. */
  fieldLines(name: string): readonly string[]
  /** As the caller wishes, in milliseconds; absent: it does not say. */
  readonly timeoutMs: number | undefined
}

/** How a connection's metadata is to be read; SETUP says. */
export type MetadataForm = 'composite' | 'routing'

const reader = new CompositeReader()
/** The id of an entry whose MIME type has none. */
const SPELLED_OUT = -1

/** What Alibaba's clients name by two hashes, where they send no text. */
export interface ServiceHashes {
  /** The routing key; undefined: nobody has it, or two services do. */
  keyOfHash(serviceId: number, handlerId: number): string | undefined
}

/**
 * A text says why the metadata is none: INVALID on the stream.
 *
 * @param hashes Given for peers that speak Alibaba's form.
 */
export function readRequestCall(
  interaction: Interaction,
  bytes: Uint8Array,
  from: number,
  to: number,
  form: MetadataForm,
  hashes: ServiceHashes | undefined,
): RequestCall | string {
  const found = new FoundEntries()
  const why =
    form === 'routing'
      ? found.takeTags(bytes.subarray(from, to))
      : readEntries(found, bytes, from, to, hashes)
  if (why !== undefined) return why
  if (found.http !== undefined) return new HttpRequest(interaction, found, found.http)
  if (found.key === '') return NO_ROUTE
  return new VirtualRequest(interaction, found)
}

class FoundEntries {
  key = ''
  /** Of Alibaba's clients; absent: there is none. */
  binary: BinaryRouting | undefined
  isHashed = false
  tags: readonly string[] = []
  moreTags: readonly string[] = []
  dataMime: string | undefined
  credentials: RSocketCredentials | undefined
  trace: ZipkinTrace | undefined
  http: HttpRequestEntry | undefined

  takeTags(content: Uint8Array): string | undefined {
    const tags = readRoutingTags(content)
    if (tags === undefined) return 'the routing metadata ends within a tag'
    this.key = tags[0] ?? ''
    this.tags = [...this.tags, ...tags.slice(1)]
    return undefined
  }
}

function readEntries(
  found: FoundEntries,
  bytes: Uint8Array,
  from: number,
  to: number,
  hashes: ServiceHashes | undefined,
): string | undefined {
  reader.start(bytes, from, to)
  let seen = 0
  while (reader.next()) {
    // A well-known type may be spelled out, and responders take it then, too.
    const id = reader.id === SPELLED_OUT ? (mimeId(reader.mime ?? '') ?? SPELLED_OUT) : reader.id
    const bit = singleBit(id)
    if ((seen & bit) !== 0) return `the entry ${reader.mime ?? id} stands there twice`
    seen |= bit
    const why = readEntry(found, id, hashes)
    if (why !== undefined) return why
  }
  if (reader.malformed) return 'the composite metadata ends within an entry'
  if (found.binary === undefined || hashes === undefined) return undefined
  const key = agreedKey(found.key, found.binary, hashes)
  if (key === undefined) return DIFFERENT_ROUTES
  found.isHashed = found.key === '' && found.binary.key === ''
  found.key = key
  return undefined
}

/**
 * One for each entry that says what is asked, and by whom; 0: there may be several. What is judged
 * must be what the responder takes, and of two it may take the other one.
 */
function singleBit(id: number): number {
  if (id === METADATA_ID.routing) return 1
  if (id === METADATA_ID.authentication) return 2
  if (id === ALIBABA_ID.binaryRouting) return 4
  return id === SPELLED_OUT && reader.mime === HTTP_ENTRY_MIME ? 8 : 0
}

function readEntry(
  found: FoundEntries,
  id: number,
  hashes: ServiceHashes | undefined,
): string | undefined {
  const { content } = reader
  switch (id) {
    case METADATA_ID.routing:
      return found.takeTags(content)
    case METADATA_ID.dataMime:
      found.dataMime = readMimes(content)?.[0]
      return undefined
    case METADATA_ID.authentication:
      found.credentials = readAuthentication(content)
      return found.credentials === undefined ? 'the authentication entry is malformed' : undefined
    case METADATA_ID.tracing:
      found.trace = readZipkin(content)
      return undefined
    case SPELLED_OUT:
      if (reader.mime === HOP_MIME) return `the entry ${HOP_MIME} is for brokers of the cluster`
      if (reader.mime !== HTTP_ENTRY_MIME) return undefined
      found.http = readHttpRequest(content)
      return found.http === undefined ? `the entry ${HTTP_ENTRY_MIME} is malformed` : undefined
    case ALIBABA_ID.binaryRouting:
      if (hashes === undefined) return BINARY_OF_OTHERS
      found.binary = readBinaryRouting(content)
      if (found.binary?.sticky === true) found.tags = [...found.tags, 'sticky=1']
      return undefined
    case ALIBABA_ID.messageTags:
      if (hashes !== undefined) found.moreTags = readRoutingTags(content) ?? []
      return undefined
    default:
      return undefined
  }
}

/** Responders of their kind go by it before anything else. */
const BINARY_OF_OTHERS = 'binary routing (0x50) is for clients with Alibaba application metadata'

class VirtualRequest implements RequestCall {
  readonly method = 'POST'
  readonly scheme = 'http'
  readonly isHttp = false
  readonly isHashed: boolean
  readonly interaction: Interaction
  readonly key: string
  readonly route: GsvRoute
  readonly tags: ReadonlyMap<string, string>
  readonly credentials: RSocketCredentials | undefined
  readonly trace: ZipkinTrace | undefined
  readonly #dataMime: string | undefined

  constructor(interaction: Interaction, found: FoundEntries) {
    this.interaction = interaction
    this.key = found.key
    this.isHashed = found.isHashed
    this.route = parseGsv(found.key, found.tags)
    this.tags = tagMap(found.tags, found.moreTags)
    this.credentials = found.credentials
    this.trace = found.trace
    this.#dataMime = found.dataMime
  }

  get authority(): string {
    return this.route.service.toLowerCase()
  }

  get path(): string {
    return `/${this.route.service}/${this.route.method}`
  }

  get sentPath(): string {
    return this.path
  }

  get timeoutMs(): number | undefined {
    const text = this.tags.get('timeout')
    return text === undefined ? undefined : parseTimeoutMs(text)
  }

  header(name: string): string | undefined {
    if (name === 'x-rsocket-interaction') return this.interaction
    if (name === 'content-type') return this.#dataMime
    if (name === 'authorization' && this.credentials !== undefined) {
      return authorizationOf(this.credentials)
    }
    return this.tags.get(name)
  }

  fieldLines(name: string): readonly string[] {
    const value = this.header(name)
    return value === undefined ? [] : [value]
  }
}

/** Istio's default (`pathNormalization: BASE`). */
const PATH_RULES = { normalizePath: true, mergeSlashes: false }

class HttpRequest implements RequestCall {
  readonly scheme = 'http'
  readonly isHttp = true
  readonly isHashed = false
  readonly interaction: Interaction
  readonly credentials: RSocketCredentials | undefined
  readonly trace: ZipkinTrace | undefined
  readonly path: string
  readonly #entry: HttpRequestEntry

  constructor(interaction: Interaction, found: FoundEntries, entry: HttpRequestEntry) {
    this.interaction = interaction
    this.credentials = found.credentials
    this.trace = found.trace
    this.#entry = entry
    this.path = canonicalPath(entry.path, PATH_RULES) ?? entry.path
  }

  get method(): string {
    return this.#entry.method
  }

  get sentPath(): string {
    return this.#entry.path
  }

  get authority(): string {
    return this.#entry.authority
  }

  get key(): string {
    return this.#entry.authority
  }

  get route(): GsvRoute {
    const service = this.key.replace(/:\d+$/, '')
    return { group: '', service, method: '', version: '', endpoint: '', sticky: false }
  }

  get tags(): ReadonlyMap<string, string> {
    return NO_TAGS
  }

  get timeoutMs(): undefined {
    return undefined
  }

  header(name: string): string | undefined {
    let found: string | undefined
    for (const [each, value] of this.#entry.fields) {
      if (each === name) found = found === undefined ? value : `${found},${value}`
    }
    return found
  }

  fieldLines(name: string): readonly string[] {
    return this.#entry.fields.flatMap(([each, value]) => (each === name ? [value] : []))
  }
}

/** As the same credentials stand in a request of HTTP (RFC 6750, RFC 7617). */
function authorizationOf(credentials: RSocketCredentials): string | undefined {
  if (credentials.type === 'bearer') return `Bearer ${credentials.token}`
  if (credentials.type === 'other') return undefined
  const { user, password } = credentials
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}

const NO_TAGS: ReadonlyMap<string, string> = new Map()

function tagMap(tags: readonly string[], more: readonly string[]): ReadonlyMap<string, string> {
  if (tags.length + more.length === 0) return NO_TAGS
  const map = new Map<string, string>()
  for (const tag of [...tags, ...more]) {
    const equals = tag.indexOf('=')
    if (equals <= 0) continue
    const name = tag.slice(0, equals).toLowerCase()
    const value = tag.slice(equals + 1)
    const known = map.get(name)
    map.set(name, known === undefined ? value : `${known},${value}`)
  }
  return map
}

/** `250ms`, `2s` or milliseconds; anything else counts as not said. At most a day. */
function parseTimeoutMs(text: string): number | undefined {
  const found = /^(\d{1,8})(ms|s)?$/.exec(text)
  if (found === null) return undefined
  const value = Number(found[1]) * (found[2] === 's' ? 1000 : 1)
  return value > 0 && value <= 86_400_000 ? value : undefined
}

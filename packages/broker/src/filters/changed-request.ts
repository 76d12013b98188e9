/** A request as filters see and change it; only what was changed is encoded again. */
import {
  ALIBABA_ID,
  type CompositeEntry,
  HTTP_ENTRY_MIME,
  METADATA_ID,
  mimeId,
  readComposite,
  readHttpRequest,
  readRoutingTags,
  renderComposite,
  renderHttpRequest,
  renderRoutingTags,
} from '@weft/wire'
import type { MetadataForm, RequestCall } from '../request-call.ts'
import type { FilterHttpHead, FilterInteraction, FilterRequest } from './filter.ts'

const ROUTING_MIME = 'message/x.rsocket.routing.v0'

export class ChangedRequest implements FilterRequest {
  readonly interaction: FilterInteraction
  readonly #call: RequestCall
  readonly #form: MetadataForm
  #metadata: Uint8Array
  #entries: CompositeEntry[] | undefined
  #data: Uint8Array | undefined
  #route: string | undefined
  #isMetadataChanged = false
  #isDataChanged = false
  /** While an `observe` filter looks. */
  isReadOnly = false

  /**
   * @param metadata Kept.
   * @param data Kept; undefined: no filter asked for it.
   */
  constructor(
    call: RequestCall,
    form: MetadataForm,
    metadata: Uint8Array,
    data: Uint8Array | undefined,
  ) {
    this.interaction = call.interaction
    this.#call = call
    this.#form = form
    this.#metadata = metadata
    this.#data = data
  }

  get route(): string {
    return this.#route ?? this.#call.key
  }

  get http(): FilterHttpHead | undefined {
    const content = this.entry(HTTP_ENTRY_MIME)
    return content && readHttpRequest(content)
  }

  get data(): Uint8Array {
    if (this.#data === undefined) throw new Error("needs must have 'data' to read the data")
    return this.#data
  }

  get hasData(): boolean {
    return this.#data !== undefined
  }

  /** As it goes on. */
  get metadata(): Uint8Array {
    if (this.#entries !== undefined && this.#isMetadataChanged && this.#form === 'composite') {
      this.#metadata = renderComposite(this.#entries)
    }
    return this.#metadata
  }

  get isMetadataChanged(): boolean {
    return this.#isMetadataChanged
  }

  /** Undefined: as it came. */
  get changedData(): Uint8Array | undefined {
    return this.#isDataChanged ? this.#data : undefined
  }

  get isChanged(): boolean {
    return this.#isMetadataChanged || this.#isDataChanged
  }

  entry(mime: string): Uint8Array | undefined {
    if (this.#form === 'routing') return mime === ROUTING_MIME ? this.#metadata : undefined
    return this.#list().find((each) => isOf(each, mime))?.content
  }

  setRoute(key: string): void {
    this.#mayChange()
    if (key === '') throw new Error('the route must not be empty')
    const content = this.entry(ROUTING_MIME)
    if (content === undefined && this.http !== undefined) {
      throw new Error('the call is HTTP: setHttp changes where it goes')
    }
    const [, ...tags] = (content && readRoutingTags(content)) ?? []
    const changed = renderRoutingTags([key, ...tags])
    if (this.#form === 'routing') this.#metadata = changed
    else {
      const rest = this.#list().filter(
        (each) => !isOf(each, ROUTING_MIME) && each.mime !== ALIBABA_ID.binaryRouting,
      )
      this.#entries = [{ mime: METADATA_ID.routing, content: changed }, ...rest]
    }
    this.#route = key
    this.#isMetadataChanged = true
  }

  setHttp(head: FilterHttpHead): void {
    if (this.http === undefined) throw new Error('the call is not HTTP')
    const content = renderHttpRequest(head)
    this.#replace(HTTP_ENTRY_MIME, content)
    this.#route = head.authority
  }

  #replace(mime: string, content: Uint8Array): void {
    this.#mayChange()
    this.#entries = this.#list().map((each) =>
      isOf(each, mime) ? { mime: each.mime, content } : each,
    )
    this.#isMetadataChanged = true
  }

  appendEntry(mime: string, content: Uint8Array): void {
    this.#mayChange()
    this.#isMetadataChanged = true
    this.#entries = [...this.#list(), { mime: mimeId(mime) ?? mime, content }]
  }

  removeEntry(mime: string): void {
    this.#mayChange()
    const rest = this.#list().filter((each) => !isOf(each, mime))
    if (rest.length === this.#list().length) return
    this.#entries = rest
    this.#isMetadataChanged = true
  }

  setData(data: Uint8Array): void {
    this.#mayChange()
    if (this.#data === undefined) throw new Error("needs must have 'data' to change the data")
    this.#data = data
    this.#isDataChanged = true
  }

  /** An item filter gave the request another payload. */
  replacePayload(data: Uint8Array | undefined, metadata: Uint8Array | undefined): void {
    if (data !== undefined) this.setData(data)
    if (metadata === undefined) return
    this.#mayChange()
    this.#metadata = metadata
    this.#entries = undefined
    this.#isMetadataChanged = true
  }

  #mayChange(): void {
    if (this.isReadOnly) throw new Error('a filter of the phase observe changes nothing')
  }

  #list(): CompositeEntry[] {
    if (this.#form === 'routing') {
      throw new Error('the connection has routing metadata, which has no entries')
    }
    this.#entries ??= readComposite(this.#metadata) ?? []
    return this.#entries
  }
}

function isOf(entry: CompositeEntry, mime: string): boolean {
  return entry.mime === mime || entry.mime === mimeId(mime)
}

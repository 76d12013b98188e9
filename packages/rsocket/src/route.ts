/** Metadata of requests: composite, the name first, then tags `key=value`. */
import {
  CompositeReader,
  METADATA_ID,
  parseGsv,
  readRoutingTags,
  renderBearer,
  renderComposite,
  renderRoutingTags,
} from '@weft/wire'
import type { CallOptions } from './types.ts'

/** @throws {RangeError} If a tag is longer than 255 bytes. */
export function renderCall(
  service: string,
  method: string,
  { metadata = {}, timeoutMs, idempotent, userToken }: CallOptions,
): Uint8Array {
  const tags = [
    `${service}.${method}`,
    ...Object.entries(metadata).map(([key, value]) => `${key}=${value}`),
    ...(timeoutMs === undefined ? [] : [`timeout=${Math.ceil(timeoutMs)}ms`]),
    ...(idempotent === true ? ['x-idempotent=1'] : []),
  ]
  const routing = { mime: METADATA_ID.routing, content: renderRoutingTags(tags) }
  if (userToken === undefined) return renderComposite([routing])
  const credentials = { mime: METADATA_ID.authentication, content: renderBearer(userToken) }
  return renderComposite([routing, credentials])
}

export interface CallRoute {
  readonly service: string
  readonly method: string
  readonly tags: Readonly<Record<string, string>>
}

/** Undefined: it names nobody. */
export function readCall(metadata: Uint8Array | undefined): CallRoute | undefined {
  if (metadata === undefined) return undefined
  const reader = new CompositeReader().start(metadata, 0, metadata.length)
  if (!reader.find(METADATA_ID.routing)) return undefined
  const [key, ...rest] = readRoutingTags(reader.content) ?? []
  if (key === undefined) return undefined
  const { service, method } = parseGsv(key)
  const tags: Record<string, string> = Object.create(null)
  for (const tag of rest) {
    const at = tag.indexOf('=')
    if (at > 0) tags[tag.slice(0, at)] = tag.slice(at + 1)
  }
  return { service, method, tags }
}

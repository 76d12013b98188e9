/**
 * What services built on `com.alibaba.rsocket` put on the wire beside the standard: the routing
 * key "group!service.method:version", its hashes, binary routing, and MIME ids in a range that
 * the extensions leave unassigned. Decoded only for peers whose SETUP says that they are such;
 * never sent to others.
 */
import { readUint32, writeUint32 } from '../http2/frames.ts'

/** MIME ids of Alibaba's SDK. */
export const ALIBABA_ID = {
  binaryRouting: 0x50,
  application: 0x51,
  cacheControl: 0x53,
  serviceRegistry: 0x54,
  messageTags: 0x57,
  messageOrigin: 0x58,
} as const

/** Whom a request is for. Empty texts where the key has no such part. */
export interface GsvRoute {
  readonly group: string
  readonly service: string
  readonly method: string
  readonly version: string
  /** `id:…`, `uuid:…`, `ip:…` or `<key>:<value>` of the instance's metadata. */
  readonly endpoint: string
  readonly sticky: boolean
}

/**
 * Parses `[group!]service[.method][:version][?sticky=1&e=…]` with the further tags of the
 * routing entry (`m=` method, `e=` endpoint, `sticky=1`). The version stands after the last colon.
 */
export function parseGsv(key: string, tags: readonly string[] = []): GsvRoute {
  const queryAt = key.indexOf('?')
  const named = readOptions(queryAt < 0 ? [] : key.slice(queryAt + 1).split('&'), tags)
  let rest = queryAt < 0 ? key : key.slice(0, queryAt)
  const groupEnd = rest.indexOf('!')
  const group = groupEnd > 0 ? rest.slice(0, groupEnd) : ''
  if (groupEnd > 0) rest = rest.slice(groupEnd + 1)
  const versionAt = rest.lastIndexOf(':')
  const version = versionAt > 0 ? rest.slice(versionAt + 1) : ''
  if (versionAt > 0) rest = rest.slice(0, versionAt)
  const methodAt = named.method === '' ? rest.lastIndexOf('.') : -1
  return {
    group,
    version,
    service: methodAt > 0 ? rest.slice(0, methodAt) : rest,
    method: methodAt > 0 ? rest.slice(methodAt + 1) : named.method,
    endpoint: named.endpoint,
    sticky: named.sticky,
  }
}

function readOptions(query: readonly string[], tags: readonly string[]) {
  let method = ''
  let endpoint = ''
  let sticky = false
  for (const option of [...query, ...tags]) {
    if (option.startsWith('e=')) endpoint = option.slice(2)
    else if (option.startsWith('m=')) method = option.slice(2)
    else if (option === 'sticky=1') sticky = true
  }
  return { method, endpoint, sticky }
}

/** `[group!]service[:version]`: what a service is registered and hashed under. */
export function gsvServiceKey(route: Pick<GsvRoute, 'group' | 'service' | 'version'>): string {
  const group = route.group === '' ? '' : `${route.group}!`
  const version = route.version === '' ? '' : `:${route.version}`
  return `${group}${route.service}${version}`
}

const HASH_SEED = 104_729

/**
 * MurmurHash3 x86 32-bit of the UTF-8 bytes as a signed number. Unlike the standard form, the
 * last one to three bytes are sign-extended, as Java's bytes are.
 */
export function gsvHash(text: string): number {
  const bytes = Buffer.from(text)
  const whole = bytes.length & ~3
  let hash = HASH_SEED
  for (let at = 0; at < whole; at += 4) {
    hash ^= scrambled(bytes.readInt32LE(at))
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0
  }
  let tail = 0
  for (let at = bytes.length - 1; at >= whole; at--) {
    tail ^= bytes.readInt8(at) << ((at - whole) * 8)
  }
  if (whole < bytes.length) hash ^= scrambled(tail)
  hash ^= bytes.length
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) | 0
}

function scrambled(word: number): number {
  const k = Math.imul(word, 0xcc9e2d51)
  return Math.imul((k << 15) | (k >>> 17), 0x1b873593)
}

export interface BinaryRouting {
  readonly serviceId: number
  readonly handlerId: number
  readonly sticky: boolean
  /** The GSV key, which decides when two services share a hash; may be empty. */
  readonly key: string
}

/** Undefined when the content is shorter than its three numbers. */
export function readBinaryRouting(content: Uint8Array): BinaryRouting | undefined {
  if (content.length < 12) return undefined
  return {
    serviceId: readUint32(content, 0) | 0,
    handlerId: readUint32(content, 4) | 0,
    sticky: (readUint32(content, 8) & 1) === 1,
    key: Buffer.from(content.subarray(12)).toString('utf8'),
  }
}

export function renderBinaryRouting(routing: BinaryRouting): Buffer {
  const head = Buffer.alloc(12)
  writeUint32(head, 0, routing.serviceId)
  writeUint32(head, 4, routing.handlerId)
  writeUint32(head, 8, routing.sticky ? 1 : 0)
  return Buffer.concat([head, Buffer.from(routing.key)])
}

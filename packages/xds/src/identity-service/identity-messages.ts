/**
 * The messages of `weft.identity.v1.WorkloadIdentity`, by which workloads get from the control plane
 * what Istio's CSR service has no word for, as plain values:
 *
 *     IssueJwtSvid(JwtSvidRequest) → JwtSvidResponse
 *       JwtSvidRequest    1 audience: repeated string   2 validity_seconds: int64
 *                         3 metadata: google.protobuf.Struct
 *       JwtSvidResponse   1 spiffe_id: string   2 svid: string   3 not_after_ms: int64
 *     WatchBundles(stream BundleRequest) → stream BundleResponse
 *       BundleRequest     1 node_id: string   2 spiffe_id: string   3 acknowledged: string
 *       BundleResponse    1 version: string   2 trust_domain: string   3 bundles: repeated Bundle
 *       Bundle            1 trust_domain: string   2 document: string (SPIFFE bundle, JSON)
 */
import { fromBinary, fromJson, toBinary, toJson } from '@bufbuild/protobuf'
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { StructSchema } from '@bufbuild/protobuf/wkt'

export interface JwtQuestion {
  readonly audiences: readonly string[]
  /** 0: whatever the authority gives. */
  readonly validitySeconds: number
  readonly metadata: Readonly<Record<string, string>>
}

export interface JwtReply {
  readonly id: string
  readonly token: string
  /** Wall clock, milliseconds. */
  readonly notAfterMs: number
}

/** What a watcher of bundles says: who it is, and what it has. */
export interface BundleAcknowledgement {
  readonly nodeId: string
  /** SPIFFE ID; empty when it has none yet. */
  readonly identity: string
  /** The version that it uses; empty: none. */
  readonly version: string
}

export interface BundleNews {
  readonly version: string
  /** Its own: which of the bundles is the mesh's. */
  readonly trustDomain: string
  /** SPIFFE bundle documents by trust domain. */
  readonly documents: ReadonlyMap<string, string>
}

export interface IdentityMessages {
  encodeJwtQuestion(question: JwtQuestion): Uint8Array
  decodeJwtQuestion(bytes: Uint8Array): JwtQuestion
  encodeJwtReply(reply: JwtReply): Uint8Array
  decodeJwtReply(bytes: Uint8Array): JwtReply
  encodeAcknowledgement(acknowledgement: BundleAcknowledgement): Uint8Array
  decodeAcknowledgement(bytes: Uint8Array): BundleAcknowledgement
  encodeBundleNews(news: BundleNews): Uint8Array
  decodeBundleNews(bytes: Uint8Array): BundleNews
}

const BYTES = WireType.LengthDelimited

/** All throw on bytes that are no such message. */
export const identityMessages: IdentityMessages = {
  encodeJwtQuestion({ audiences, validitySeconds, metadata }) {
    const writer = new BinaryWriter()
    for (const audience of audiences) writer.tag(1, BYTES).string(audience)
    if (validitySeconds !== 0) writer.tag(2, WireType.Varint).int64(validitySeconds)
    const struct = toBinary(StructSchema, fromJson(StructSchema, { ...metadata }))
    return writer.tag(3, BYTES).bytes(struct).finish()
  },

  decodeJwtQuestion(bytes) {
    const audiences: string[] = []
    let validitySeconds = 0
    let metadata: Readonly<Record<string, string>> = {}
    readFields(bytes, (number, type, reader) => {
      if (number === 1 && type === BYTES) audiences.push(reader.string())
      else if (number === 2 && type === WireType.Varint) validitySeconds = Number(reader.int64())
      else if (number === 3 && type === BYTES) metadata = textsOf(reader.bytes())
      else return false
      return true
    })
    return { audiences, validitySeconds, metadata }
  },

  encodeJwtReply({ id, token, notAfterMs }) {
    const writer = texts([id, token])
    return writer.tag(3, WireType.Varint).int64(notAfterMs).finish()
  },

  decodeJwtReply(bytes) {
    let [id, token, notAfterMs] = ['', '', 0]
    readFields(bytes, (number, type, reader) => {
      if (number === 1 && type === BYTES) id = reader.string()
      else if (number === 2 && type === BYTES) token = reader.string()
      else if (number === 3 && type === WireType.Varint) notAfterMs = Number(reader.int64())
      else return false
      return true
    })
    return { id, token, notAfterMs }
  },

  encodeAcknowledgement({ nodeId, identity, version }) {
    return texts([nodeId, identity, version]).finish()
  },

  decodeAcknowledgement(bytes) {
    let [nodeId, identity, version] = ['', '', '']
    readFields(bytes, (number, type, reader) => {
      if (type !== BYTES || number > 3) return false
      const text = reader.string()
      if (number === 1) nodeId = text
      else if (number === 2) identity = text
      else version = text
      return true
    })
    return { nodeId, identity, version }
  },

  encodeBundleNews({ version, trustDomain, documents }) {
    const writer = texts([version, trustDomain])
    for (const pair of documents) writer.tag(3, BYTES).bytes(texts(pair).finish())
    return writer.finish()
  },

  decodeBundleNews(bytes) {
    let [version, trustDomain] = ['', '']
    const documents = new Map<string, string>()
    readFields(bytes, (number, type, reader) => {
      if (number === 1 && type === BYTES) version = reader.string()
      else if (number === 2 && type === BYTES) trustDomain = reader.string()
      else if (number === 3 && type === BYTES) documents.set(...pairOf(reader.bytes()))
      else return false
      return true
    })
    return { version, trustDomain, documents }
  },
}

/** The first fields of a message, all strings. */
function texts(values: readonly string[]): BinaryWriter {
  const writer = new BinaryWriter()
  for (const [index, value] of values.entries()) {
    if (value !== '') writer.tag(index + 1, BYTES).string(value)
  }
  return writer
}

function pairOf(bytes: Uint8Array): [string, string] {
  let [first, second] = ['', '']
  readFields(bytes, (number, type, reader) => {
    if (number === 1 && type === BYTES) first = reader.string()
    else if (number === 2 && type === BYTES) second = reader.string()
    else return false
    return true
  })
  return [first, second]
}

/** @param take Reads a field; false: it is none of the message's. */
function readFields(
  bytes: Uint8Array,
  take: (number: number, type: WireType, reader: BinaryReader) => boolean,
): void {
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag()
    if (!take(number, type, reader)) reader.skip(type, number)
  }
}

function textsOf(struct: Uint8Array): Readonly<Record<string, string>> {
  const fields = Object.entries(toJson(StructSchema, fromBinary(StructSchema, struct)) ?? {})
  const found: [string, string][] = []
  for (const [name, value] of fields) if (typeof value === 'string') found.push([name, value])
  return Object.fromEntries(found)
}

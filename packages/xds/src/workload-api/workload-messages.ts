/**
 * The messages of SPIFFE's Workload API (SPIFFE_Workload_API.md, `workload.proto`) as plain values:
 *
 *     X509SVIDResponse         1 svids: repeated X509SVID   3 federated_bundles: map<string, bytes>
 *       X509SVID               1 spiffe_id   2 x509_svid   3 x509_svid_key   4 bundle   5 hint
 *     X509BundlesResponse      2 bundles: map<string, bytes>
 *     JWTSVIDRequest           1 audience: repeated string   2 spiffe_id
 *     JWTSVIDResponse          1 svids: repeated JWTSVID
 *       JWTSVID                1 spiffe_id   2 svid   3 hint
 *     JWTBundlesResponse       1 bundles: map<string, bytes>
 *     ValidateJWTSVIDRequest   1 audience   2 svid
 *     ValidateJWTSVIDResponse  1 spiffe_id   2 claims: google.protobuf.Struct
 */
import { fromJson, type JsonObject, toBinary } from '@bufbuild/protobuf'
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { StructSchema } from '@bufbuild/protobuf/wkt'

/** DER throughout. */
export interface WorkloadX509 {
  readonly id: string
  /** The leaf first, without the root; one after the other. */
  readonly chain: Buffer
  /** PKCS #8. */
  readonly key: Buffer
}

/** By `spiffe://<trust domain>`. */
type BundleMap = ReadonlyMap<string, Uint8Array>

const BYTES = WireType.LengthDelimited

export function encodeX509Svid(
  { id, chain, key }: WorkloadX509,
  bundle: Uint8Array,
  federated: BundleMap,
): Uint8Array {
  const svid = new BinaryWriter()
  svid.tag(1, BYTES).string(id)
  svid.tag(2, BYTES).bytes(chain)
  svid.tag(3, BYTES).bytes(key)
  svid.tag(4, BYTES).bytes(bundle)
  const writer = new BinaryWriter()
  writer.tag(1, BYTES).bytes(svid.finish())
  return writeMap(writer, 3, federated).finish()
}

export function encodeX509Bundles(bundles: BundleMap): Uint8Array {
  return writeMap(new BinaryWriter(), 2, bundles).finish()
}

export function encodeJwtBundles(bundles: BundleMap): Uint8Array {
  return writeMap(new BinaryWriter(), 1, bundles).finish()
}

export function encodeJwtSvids(
  svids: readonly { readonly id: string; readonly token: string }[],
): Uint8Array {
  const writer = new BinaryWriter()
  for (const { id, token } of svids) {
    const svid = new BinaryWriter()
    svid.tag(1, BYTES).string(id)
    svid.tag(2, BYTES).string(token)
    writer.tag(1, BYTES).bytes(svid.finish())
  }
  return writer.finish()
}

export function encodeValidated(id: string, claims: Readonly<Record<string, unknown>>): Uint8Array {
  // Read by a stricter parser, they are objects without a prototype, which `fromJson` takes for none.
  const plain = JSON.parse(JSON.stringify(claims)) as JsonObject
  const struct = toBinary(StructSchema, fromJson(StructSchema, plain))
  const writer = new BinaryWriter()
  writer.tag(1, BYTES).string(id)
  return writer.tag(2, BYTES).bytes(struct).finish()
}

/** @throws On bytes that are no such message. */
export function decodeJwtSvidRequest(bytes: Uint8Array) {
  const [audiences, ids] = readTexts(bytes)
  return { audiences, id: ids.at(-1) ?? '' }
}

/** @throws As above. */
export function decodeValidateRequest(bytes: Uint8Array) {
  const [audiences, tokens] = readTexts(bytes)
  return { audience: audiences.at(-1) ?? '', token: tokens.at(-1) ?? '' }
}

/** Fields 1 and 2 of a message, as often as they come. */
function readTexts(bytes: Uint8Array): readonly [readonly string[], readonly string[]] {
  const [first, second]: [string[], string[]] = [[], []]
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag()
    if (type === BYTES && number === 1) first.push(reader.string())
    else if (type === BYTES && number === 2) second.push(reader.string())
    else reader.skip(type, number)
  }
  return [first, second]
}

function writeMap(writer: BinaryWriter, number: number, map: BundleMap): BinaryWriter {
  for (const [name, value] of map) {
    const entry = new BinaryWriter()
    entry.tag(1, BYTES).string(name)
    entry.tag(2, BYTES).bytes(value)
    writer.tag(number, BYTES).bytes(entry.finish())
  }
  return writer
}

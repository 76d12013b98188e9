/**
 * The messages of Istio's CSR service (`istio.v1.auth.IstioCertificateService`) as plain values,
 * written and read by hand from the published interface:
 *
 *     IstioCertificateRequest   1 csr: string (PEM)   3 validity_duration: int64 (seconds)
 *                               4 metadata: google.protobuf.Struct
 *     IstioCertificateResponse  1 cert_chain: repeated string (PEM, the leaf first, the root last)
 */
import { fromBinary, fromJson, toBinary, toJson } from '@bufbuild/protobuf'
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { StructSchema } from '@bufbuild/protobuf/wkt'

export interface CertificateQuestion {
  readonly csrPem: string
  /** 0: whatever the authority gives. */
  readonly validitySeconds: number
  /** Texts of the metadata; whatever else it holds is left out. */
  readonly metadata: Readonly<Record<string, string>>
}

export interface CertificateMessages {
  encodeCertificateRequest(question: CertificateQuestion): Uint8Array
  /** PEM, the leaf first. @throws On bytes that are no response. */
  decodeCertificateResponse(bytes: Uint8Array): readonly string[]
}

const CSR = 1
const VALIDITY = 3
const METADATA = 4
const CERT_CHAIN = 1

export function encodeCertificateRequest(question: CertificateQuestion): Uint8Array {
  const { csrPem, validitySeconds, metadata } = question
  const writer = new BinaryWriter()
  writer.tag(CSR, WireType.LengthDelimited).string(csrPem)
  if (validitySeconds !== 0) writer.tag(VALIDITY, WireType.Varint).int64(validitySeconds)
  if (Object.keys(metadata).length > 0) {
    const struct = toBinary(StructSchema, fromJson(StructSchema, { ...metadata }))
    writer.tag(METADATA, WireType.LengthDelimited).bytes(struct)
  }
  return writer.finish()
}

/** @throws On bytes that are no request. */
export function decodeCertificateRequest(bytes: Uint8Array): CertificateQuestion {
  const reader = new BinaryReader(bytes)
  let csrPem = ''
  let validitySeconds = 0
  let metadata: Readonly<Record<string, string>> = {}
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag()
    if (number === CSR && type === WireType.LengthDelimited) csrPem = reader.string()
    else if (number === VALIDITY && type === WireType.Varint) {
      validitySeconds = Number(reader.int64())
    } else if (number === METADATA && type === WireType.LengthDelimited) {
      metadata = textsOf(reader.bytes())
    } else reader.skip(type, number)
  }
  return { csrPem, validitySeconds, metadata }
}

function textsOf(struct: Uint8Array): Readonly<Record<string, string>> {
  const fields = Object.entries(toJson(StructSchema, fromBinary(StructSchema, struct)) ?? {})
  const texts: [string, string][] = []
  for (const [name, value] of fields) if (typeof value === 'string') texts.push([name, value])
  return Object.fromEntries(texts)
}

export function encodeCertificateResponse(chainPem: readonly string[]): Uint8Array {
  const writer = new BinaryWriter()
  for (const pem of chainPem) writer.tag(CERT_CHAIN, WireType.LengthDelimited).string(pem)
  return writer.finish()
}

export function decodeCertificateResponse(bytes: Uint8Array): readonly string[] {
  const reader = new BinaryReader(bytes)
  const chainPem: string[] = []
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag()
    if (number === CERT_CHAIN && type === WireType.LengthDelimited) chainPem.push(reader.string())
    else reader.skip(type, number)
  }
  return chainPem
}

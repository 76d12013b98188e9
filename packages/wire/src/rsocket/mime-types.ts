/**
 * The MIME types that have a one-byte id in metadata (RSocket Extensions, "Well-known MIME
 * Types"). Ids 0x2B to 0x79 are unassigned there; Alibaba's are in `alibaba.ts`.
 */

const NAMES = [
  'application/avro',
  'application/cbor',
  'application/graphql',
  'application/gzip',
  'application/javascript',
  'application/json',
  'application/octet-stream',
  'application/pdf',
  'application/vnd.apache.thrift.binary',
  'application/vnd.google.protobuf',
  'application/xml',
  'application/zip',
  'audio/aac',
  'audio/mp3',
  'audio/mp4',
  'audio/mpeg3',
  'audio/mpeg',
  'audio/ogg',
  'audio/opus',
  'audio/vorbis',
  'image/bmp',
  'image/gif',
  'image/heic-sequence',
  'image/heic',
  'image/heif-sequence',
  'image/heif',
  'image/jpeg',
  'image/png',
  'image/tiff',
  'multipart/mixed',
  'text/css',
  'text/csv',
  'text/html',
  'text/plain',
  'text/xml',
  'video/H264',
  'video/H265',
  'video/VP8',
  'application/x-hessian',
  'application/x-java-object',
  'application/cloudevents+json',
  'application/x-capnp',
  'application/x-flatbuffers',
] as const

/** Ids of the metadata types themselves. */
export const METADATA_ID = {
  dataMime: 0x7a,
  acceptMimes: 0x7b,
  authentication: 0x7c,
  tracing: 0x7d,
  routing: 0x7e,
  composite: 0x7f,
} as const

export const COMPOSITE_MIME = 'message/x.rsocket.composite-metadata.v0'

const names: (string | undefined)[] = [...NAMES]
names[METADATA_ID.dataMime] = 'message/x.rsocket.mime-type.v0'
names[METADATA_ID.acceptMimes] = 'message/x.rsocket.accept-mime-types.v0'
names[METADATA_ID.authentication] = 'message/x.rsocket.authentication.v0'
names[METADATA_ID.tracing] = 'message/x.rsocket.tracing-zipkin.v0'
names[METADATA_ID.routing] = 'message/x.rsocket.routing.v0'
names[METADATA_ID.composite] = COMPOSITE_MIME

const ids = new Map(names.flatMap((name, id) => (name === undefined ? [] : [[name, id] as const])))

/** The name behind an id of 0 to 127, or undefined when the id is unassigned. */
export function mimeName(id: number): string | undefined {
  return names[id]
}

export function mimeId(name: string): number | undefined {
  return ids.get(name)
}

/**
 * Compression of answers ⇄ `envoy.filters.http.compressor`. Envoy has one filter per coding:
 * neighbours with the same settings are one of ours. The first of several wins where the client
 * likes them equally (`choose_first`).
 */
import type { Any } from '@bufbuild/protobuf/wkt'
import type { Compression } from '@weft/model'
import { BrotliSchema } from '../../gen/envoy/extensions/compression/brotli/compressor/v3/brotli_pb.js'
import { GzipSchema } from '../../gen/envoy/extensions/compression/gzip/compressor/v3/gzip_pb.js'
import { ZstdSchema } from '../../gen/envoy/extensions/compression/zstd/compressor/v3/zstd_pb.js'
import {
  Compressor_CommonDirectionConfigSchema,
  Compressor_ResponseDirectionConfigSchema,
  CompressorPerRouteSchema,
  CompressorSchema,
} from '../../gen/envoy/extensions/filters/http/compressor/v3/compressor_pb.js'
import { covers, type Problems, refuseOthers } from '../problems.ts'
import { packAny, unpackAny } from '../values.ts'
import {
  type AnyInit,
  type ConfigOf,
  type HttpFilterCodec,
  refuseDisabled,
} from './filter-codec.ts'

type Encoding = Compression['encodings'][number]

const MAX_GZIP_LEVEL = 9
const MAX_BROTLI_LEVEL = 11
/** Envoy's defaults. */
const MIN_BYTES = 30
const CONTENT_TYPES = [
  ...['application/javascript', 'application/json', 'application/xhtml+xml', 'image/svg+xml'],
  ...['text/css', 'text/html', 'text/plain', 'text/xml'],
]

const COMPRESSOR = covers(
  CompressorSchema,
  ...['compressor_library', 'response_direction_config', 'choose_first'],
  // What came before response_direction_config, which wins.
  ...['content_length', 'content_type', 'disable_on_etag_header', 'remove_accept_encoding_header'],
)
const DIRECTION = covers(
  Compressor_ResponseDirectionConfigSchema,
  ...['common_config', 'disable_on_etag_header', 'remove_accept_encoding_header'],
)
const COMMON = covers(
  Compressor_CommonDirectionConfigSchema,
  ...['enabled', 'min_content_length', 'content_type'],
)
const PER_ROUTE = covers(CompressorPerRouteSchema, 'disabled', 'overrides')

export const compressor: HttpFilterCodec<'compressor'> = {
  name: 'envoy.filters.http.compressor',

  encode({ settings }) {
    const { encodings, minBytes, contentTypes, level } = settings
    return encodings.map((encoding, index) => ({
      value: packAny(CompressorSchema, {
        compressorLibrary: { name: encoding, typedConfig: library(encoding, level) },
        responseDirectionConfig: {
          commonConfig: { minContentLength: minBytes, contentType: [...contentTypes] },
          disableOnEtagHeader: settings.disableOnEtag,
          removeAcceptEncodingHeader: settings.removeAcceptEncoding,
        },
        chooseFirst: index === 0 && encodings.length > 1,
      }),
    }))
  },

  decode(any, disabled, path, problems) {
    const proto = unpackAny(any, CompressorSchema)
    if (proto === undefined) return undefined
    refuseDisabled(disabled, path, problems)
    refuseOthers(COMPRESSOR, proto, path, problems)
    const direction = proto.responseDirectionConfig
    const common = direction?.commonConfig
    const at = `${path}.response_direction_config`
    if (direction !== undefined) refuseOthers(DIRECTION, direction, at, problems)
    if (common !== undefined) {
      refuseOthers(COMMON, common, `${at}.common_config`, problems)
      if (common.enabled?.defaultValue === false) {
        problems.add(`${at}.common_config.enabled`, 'false is not supported')
      }
    }
    const read = readLibrary(proto.compressorLibrary?.typedConfig, path, problems)
    const minBytes = common?.minContentLength ?? proto.contentLength ?? MIN_BYTES
    const types = common?.contentType ?? proto.contentType
    return {
      kind: 'compressor',
      settings: {
        encodings: read === undefined ? [] : [read.encoding],
        minBytes,
        contentTypes: types.length > 0 ? types.map((type) => type.toLowerCase()) : CONTENT_TYPES,
        disableOnEtag: direction?.disableOnEtagHeader ?? proto.disableOnEtagHeader,
        removeAcceptEncoding:
          direction?.removeAcceptEncodingHeader ?? proto.removeAcceptEncodingHeader,
        ...(read?.level === undefined ? {} : { level: read.level }),
      },
    }
  },

  encodeOverride({ compressor: override }) {
    if (override === undefined) return undefined
    const { disabled, removeAcceptEncoding } = override
    if (disabled === true) {
      return packAny(CompressorPerRouteSchema, { override: { case: 'disabled', value: true } })
    }
    if (removeAcceptEncoding === undefined) return undefined
    const responseDirectionConfig = { removeAcceptEncodingHeader: removeAcceptEncoding }
    const value = { responseDirectionConfig }
    return packAny(CompressorPerRouteSchema, { override: { case: 'overrides', value } })
  },

  decodeOverride(any, path, problems) {
    const proto = unpackAny(any, CompressorPerRouteSchema)
    if (proto === undefined) return undefined
    refuseOthers(PER_ROUTE, proto, path, problems)
    if (proto.override.case === 'disabled') return { compressor: { disabled: true } }
    const remove = proto.override.value?.responseDirectionConfig?.removeAcceptEncodingHeader
    return { compressor: remove === undefined ? {} : { removeAcceptEncoding: remove } }
  },
}

/** Joins a compressor with the one before it when they differ in nothing but the coding. */
export function joinCompressors(
  before: ConfigOf<'compressor'>,
  next: ConfigOf<'compressor'>,
): ConfigOf<'compressor'> | undefined {
  const { encodings, ...rest } = next.settings
  const { encodings: first, ...firstRest } = before.settings
  if (encodings.some((encoding) => first.includes(encoding))) return undefined
  if (JSON.stringify(rest) !== JSON.stringify(firstRest)) return undefined
  return {
    kind: 'compressor',
    settings: { ...before.settings, encodings: [...first, ...encodings] },
  }
}

function library(encoding: Encoding, level: number | undefined): AnyInit {
  switch (encoding) {
    case 'gzip':
      return packAny(GzipSchema, { compressionLevel: Math.min(level ?? 0, MAX_GZIP_LEVEL) })
    case 'br':
      return packAny(
        BrotliSchema,
        level === undefined ? {} : { quality: Math.min(level, MAX_BROTLI_LEVEL) },
      )
    case 'zstd':
      return packAny(ZstdSchema, level === undefined ? {} : { compressionLevel: level })
  }
}

// How much memory a coder takes and how it looks for matches changes no byte that matters.
const GZIP = covers(
  GzipSchema,
  ...['compression_level', 'memory_level', 'compression_strategy', 'window_bits', 'chunk_size'],
)
const BROTLI = covers(
  BrotliSchema,
  ...['quality', 'encoder_mode', 'window_bits', 'input_block_bits', 'chunk_size'],
  'disable_literal_context_modeling',
)
const ZSTD = covers(ZstdSchema, 'compression_level', 'enable_checksum', 'strategy', 'chunk_size')

function readLibrary(
  any: Any | undefined,
  path: string,
  problems: Problems,
): { readonly encoding: Encoding; readonly level: number | undefined } | undefined {
  const at = `${path}.compressor_library`
  const gzip = unpackAny(any, GzipSchema)
  if (gzip !== undefined) {
    refuseOthers(GZIP, gzip, at, problems)
    return { encoding: 'gzip', level: gzip.compressionLevel || undefined }
  }
  const brotli = unpackAny(any, BrotliSchema)
  if (brotli !== undefined) {
    refuseOthers(BROTLI, brotli, at, problems)
    return { encoding: 'br', level: brotli.quality }
  }
  const zstd = unpackAny(any, ZstdSchema)
  if (zstd !== undefined) {
    refuseOthers(ZSTD, zstd, at, problems)
    return { encoding: 'zstd', level: zstd.compressionLevel }
  }
  problems.add(at, `${any?.typeUrl ?? 'nothing'} is not supported`)
  return undefined
}

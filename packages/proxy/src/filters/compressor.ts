/**
 * Compression of answers (Envoy's compressor filter): decides by the heads of both messages. The
 * coding itself is `exchange/answer-coding.ts`.
 */
import type { BrotliCompress, Gzip, ZstdCompress } from 'node:zlib'
import type { Compression } from '@weft/model'
import { pieceOf } from '@weft/wire'
import type { AnswerEncoder, AnswerFacts, Coder } from '../exchange/answer-coding.ts'
import { type EncodedHeaders, encodeStamps } from '../exchange/encoded-headers.ts'
import { chooseEncoding } from './accept-encoding.ts'
import type { BindFilter, FilterScope } from './http-filter.ts'

type Encoding = Compression['encodings'][number]

/** What is no answer in one piece, or none with content. */
const UNFIT_STATUS: ReadonlySet<number> = new Set([204, 205, 206, 304])
const MAX_LEVELS = { gzip: 9, br: 11, zstd: 22 } as const
/** Fast ones: the proxy's processor is everybody's. */
const DEFAULT_LEVELS = { gzip: 1, br: 3, zstd: 3 } as const
/** 256 KiB: what is compressed on the fly is seldom longer, and many are under way. */
const BROTLI_WINDOW_BITS = 18

export const compressor: BindFilter<'compressor'> = (config, scope) => {
  const { disabled, ...own } = scope.overrides.compressor ?? {}
  const settings: Compression = { ...config.settings, ...own }
  if (disabled === true || settings.encodings.length === 0) return undefined
  const encoder = encoderOf(settings, statsOf(scope))
  const requestHeaders = settings.removeAcceptEncoding
    ? encodeStamps([], ['accept-encoding'])
    : undefined
  const verdict = { kind: 'encode', encoder, requestHeaders } as const
  return { onRequest: () => verdict }
}

type Note = (encoding: Encoding | undefined) => void

/** What no coding was chosen for counts under the first one's name. */
function statsOf({ deps: { filterStats }, runtime }: FilterScope): (first: Encoding) => Note {
  if (filterStats === undefined) return () => () => undefined
  const owner = { kind: 'http', name: runtime.manager.statPrefix } as const
  const counter = (encoding: Encoding, leaf: string) =>
    filterStats.counter(owner, `compressor.${encoding}.response.${leaf}`)
  return (first) => {
    const not = counter(first, 'not_compressed')
    const done = {
      gzip: counter('gzip', 'compressed'),
      br: counter('br', 'compressed'),
      zstd: counter('zstd', 'compressed'),
    }
    return (encoding) => (encoding === undefined ? not() : done[encoding]())
  }
}

function encoderOf(settings: Compression, stats: (first: Encoding) => Note): AnswerEncoder {
  const note = stats(settings.encodings[0] ?? 'gzip')
  const contentTypes = new Set(settings.contentTypes)
  return {
    choose(facts) {
      if (!isFit(facts, settings.minBytes, contentTypes)) {
        note(undefined)
        return undefined
      }
      const { request, response } = facts
      const etag = response('etag')
      if (etag !== undefined && settings.disableOnEtag) return undefined
      const vary = response('vary')
      const varies = withAcceptEncoding(vary)
      const encoding = chooseEncoding(request('accept-encoding') ?? '', settings.encodings)
      note(encoding)
      if (encoding === undefined) {
        // Another client gets something else for the same request: caches have to know.
        return varies === vary ? undefined : { headers: lines({ vary: varies }), create: undefined }
      }
      const headers = lines({
        'content-encoding': encoding,
        vary: varies,
        // Not the same bytes any more: what a strong validator promises does not hold.
        ...(etag?.startsWith('"') === true ? { etag: `W/${etag}` } : {}),
      })
      return { headers, create: () => coderOf(encoding, settings.level) }
    },
  }
}

function isFit(
  { response, status, length }: AnswerFacts,
  minBytes: number,
  contentTypes: ReadonlySet<string>,
): boolean {
  if (UNFIT_STATUS.has(status) || (length >= 0 && length < minBytes)) return false
  const contentType = response('content-type')?.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  if (!contentTypes.has(contentType) || contentType.startsWith('application/grpc')) return false
  if (response('content-encoding') !== undefined) return false
  return !/(?:^|[,\s])no-transform(?:$|[,\s])/i.test(response('cache-control') ?? '')
}

function withAcceptEncoding(vary: string | undefined): string {
  if (vary === undefined || vary.trim() === '') return 'accept-encoding'
  const names = vary.split(',').map((name) => name.trim().toLowerCase())
  return names.includes('*') || names.includes('accept-encoding')
    ? vary
    : `${vary}, accept-encoding`
}

/** Values may be an application's: they go on byte by byte, as they came. */
function lines(fields: Readonly<Record<string, string>>): EncodedHeaders {
  const { cuts } = encodeStamps([], Object.keys(fields))
  return {
    cuts,
    lines: Object.entries(fields).map(([name, value]) => ({
      kind: 'ready',
      piece: pieceOf(Buffer.from(`${name}: ${value}\r\n`, 'latin1')),
    })),
  }
}

function coderOf(encoding: Encoding, asked: number | undefined): Coder {
  // Envoy's 0 is "the default" of gzip; zlib's would not compress at all.
  const level =
    asked === undefined || (asked === 0 && encoding === 'gzip')
      ? DEFAULT_LEVELS[encoding]
      : Math.min(asked, MAX_LEVELS[encoding])
  // Loaded by the first answer that is compressed.
  const { constants, createBrotliCompress, createGzip, createZstdCompress } =
    process.getBuiltinModule('node:zlib')
  switch (encoding) {
    case 'gzip':
      return flushed(createGzip({ level }), constants.Z_SYNC_FLUSH)
    case 'br': {
      const params = {
        [constants.BROTLI_PARAM_QUALITY]: level,
        [constants.BROTLI_PARAM_LGWIN]: BROTLI_WINDOW_BITS,
      }
      return flushed(createBrotliCompress({ params }), constants.BROTLI_OPERATION_FLUSH)
    }
    case 'zstd': {
      const params = { [constants.ZSTD_c_compressionLevel]: level }
      return flushed(createZstdCompress({ params }), constants.ZSTD_e_flush)
    }
  }
}

function flushed(stream: Gzip | BrotliCompress | ZstdCompress, kind: number): Coder {
  return { stream, flush: () => stream.flush(kind) }
}

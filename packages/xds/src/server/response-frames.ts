/**
 * Responses as gRPC frames, made once and shared by all streams that need the same: the nonce
 * is a number of the push, not of the stream, so the whole frame is the same bytes.
 */
import { contentHash } from '@weft/base'
import { frame } from '../wire/grpc-frames.ts'
import { textField } from '../wire/protobuf.ts'
import type { Response } from './flush.ts'
import type { ServedResource } from './registry.ts'

export interface ResponseFrame {
  readonly nonce: string
  readonly bytes: Buffer
}

/** Frames are shared while a push is under way; what is older than this many bytes goes. */
const MAX_CACHED_BYTES = 16 * 1_048_576

export class ResponseFrames {
  readonly #cached = new Map<string, ResponseFrame>()
  #cachedBytes = 0
  /** Hot: most streams of a push need what the stream before them needed. */
  #latest: { protocol: string; response: Response; made: ResponseFrame } | undefined
  #pushes = 0

  /** @param lastNonce Of the type on this stream: the same number again would be ambiguous. */
  frameOf(protocol: 'sotw' | 'delta', response: Response, lastNonce: string): ResponseFrame {
    const latest = this.#latest
    if (
      latest !== undefined &&
      latest.protocol === protocol &&
      latest.made.nonce !== lastNonce &&
      sameResponse(latest.response, response)
    ) {
      return latest.made
    }
    const key = keyOf(protocol, response)
    const cached = this.#cached.get(key)
    const isUsable = cached !== undefined && cached.nonce !== lastNonce
    const made = isUsable ? cached : this.#make(protocol, response, key)
    this.#latest = { protocol, response, made }
    return made
  }

  #make(protocol: 'sotw' | 'delta', response: Response, key: string): ResponseFrame {
    const nonce = String(++this.#pushes)
    const bytes = protocol === 'delta' ? deltaFrame(response, nonce) : sotwFrame(response, nonce)
    const made = { nonce, bytes }
    this.#remember(key, made)
    return made
  }

  #remember(key: string, made: ResponseFrame): void {
    const before = this.#cached.get(key)
    if (before !== undefined) this.#cachedBytes -= before.bytes.length
    this.#cached.set(key, made)
    this.#cachedBytes += made.bytes.length
    for (const [oldest, { bytes }] of this.#cached) {
      if (this.#cachedBytes <= MAX_CACHED_BYTES || oldest === key) break
      this.#cached.delete(oldest)
      this.#cachedBytes -= bytes.length
    }
  }
}

/** By identity; equal content in other objects is found by its key. */
function sameResponse(a: Response, b: Response): boolean {
  return (
    a.typeUrl === b.typeUrl && sameList(a.resources, b.resources) && sameList(a.removed, b.removed)
  )
}

function sameList<T>(a: readonly T[], b: readonly T[]): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

function keyOf(protocol: string, { typeUrl, resources, removed }: Response): string {
  let key = `${protocol} ${typeUrl}`
  for (const { name, version } of resources) key += `\n${name}\t${version}`
  for (const name of removed) key += `\n-${name}`
  return key
}

function deltaFrame({ typeUrl, resources, removed }: Response, nonce: string): Buffer {
  return frame([
    ...(resources as readonly ServedResource[]).map((served) => served.delta()),
    textField(4, typeUrl),
    textField(5, nonce),
    ...removed.map((name) => textField(6, name)),
  ])
}

function sotwFrame({ typeUrl, resources }: Response, nonce: string): Buffer {
  const versions = resources.map(({ name, version }) => `${name}\t${version}`)
  return frame([
    textField(1, contentHash(versions.sort().join('\n'))),
    ...(resources as readonly ServedResource[]).map((served) => served.sotw()),
    textField(4, typeUrl),
    textField(5, nonce),
  ])
}

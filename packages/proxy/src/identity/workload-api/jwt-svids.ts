/** JWT-SVIDs from the control plane, kept for half of their life: applications ask for each request. */
import type { Clock } from '@weft/base'
import { provePossession } from '@weft/identity'
import { parseSpiffeId } from '@weft/model'
import { type FetchedJwt, loadIdentityMessages } from '@weft/xds'
import type { Svid } from '../svid.ts'
import { type ControlCall, openControlCall } from './control-call.ts'

export interface JwtSvidsDeps {
  readonly clock: Clock
  readonly target: ControlCall['target']
  readonly isTls: boolean
  svid(): Svid | undefined
}

interface Kept {
  readonly id: string
  readonly token: string
  readonly askedAtMs: number
  readonly notAfterMs: number
}

const MAX_KEPT = 1_000
const OK = 0
const INVALID_ARGUMENT = 3
const PERMISSION_DENIED = 7
const UNAUTHENTICATED = 16

export class JwtSvids {
  readonly #deps: JwtSvidsDeps
  /** By identity and audiences, in the order of their coming. */
  readonly #kept = new Map<string, Kept>()
  readonly #asked = new Map<string, Promise<FetchedJwt>>()

  constructor(deps: JwtSvidsDeps) {
    this.#deps = deps
  }

  fetch(audiences: readonly string[]): Promise<FetchedJwt> {
    const svid = this.#deps.svid()
    if (svid === undefined) {
      const problem = 'there is no identity yet'
      return Promise.resolve({ ok: false, code: 'unavailable', problem })
    }
    const key = JSON.stringify([svid.id, ...audiences])
    const kept = this.#kept.get(key)
    const nowMs = this.#deps.clock.nowMs()
    const isFresh =
      kept !== undefined &&
      nowMs >= kept.askedAtMs &&
      nowMs < (kept.askedAtMs + kept.notAfterMs) / 2
    if (isFresh) return Promise.resolve({ ok: true, ...kept })
    const asked = this.#asked.get(key) ?? this.#ask(key, audiences, svid)
    this.#asked.set(key, asked)
    return asked
  }

  async #ask(key: string, audiences: readonly string[], svid: Svid): Promise<FetchedJwt> {
    try {
      const fetched = await this.#call(audiences, svid)
      if (fetched.ok) {
        this.#kept.delete(key)
        this.#kept.set(key, fetched)
        const [oldest] = this.#kept.keys()
        if (this.#kept.size > MAX_KEPT && oldest !== undefined) this.#kept.delete(oldest)
      }
      return fetched
    } finally {
      this.#asked.delete(key)
    }
  }

  async #call(
    audiences: readonly string[],
    svid: Svid,
  ): Promise<(Kept & { readonly ok: true }) | Extract<FetchedJwt, { readonly ok: false }>> {
    const { clock, target, isTls } = this.#deps
    const messages = await loadIdentityMessages()
    const askedAtMs = clock.nowMs()
    const way = isTls
      ? { target, svid }
      : { target, token: provePossession(svid, trustDomainOf(svid.id), askedAtMs) }
    return new Promise((resolve) => {
      let answer: Buffer | undefined
      const stream = openControlCall({ ...way, method: 'IssueJwtSvid' }, clock, {
        onMessage(message) {
          answer = Buffer.from(message)
        },
        onEnd(code, problem) {
          if (code !== OK || answer === undefined) return resolve(refused(code, problem))
          try {
            resolve({ ok: true, askedAtMs, ...messages.decodeJwtReply(answer) })
          } catch {
            resolve(refused(code, 'the answer cannot be read'))
          }
        },
      })
      stream.send(messages.encodeJwtQuestion({ audiences, validitySeconds: 0, metadata: {} }))
      stream.finish()
    })
  }
}

function refused(grpcCode: number, problem: string): Extract<FetchedJwt, { readonly ok: false }> {
  if (grpcCode === INVALID_ARGUMENT) return { ok: false, code: 'invalidArgument', problem }
  const isDenied = grpcCode === PERMISSION_DENIED || grpcCode === UNAUTHENTICATED
  return { ok: false, code: isDenied ? 'permissionDenied' : 'unavailable', problem }
}

function trustDomainOf(id: string): string {
  const parsed = parseSpiffeId(id)
  return parsed.ok ? parsed.id.trustDomain : ''
}

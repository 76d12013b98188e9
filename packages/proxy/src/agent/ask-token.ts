/** A JWT-SVID for a workload that somebody vouches for, from the control plane. */
import type { Clock } from '@weft/base'
import { loadIdentityMessages } from '@weft/xds'
import { type ControlTarget, openControlCall } from '../identity/workload-api/control-call.ts'

export interface TokenOrder {
  readonly target: ControlTarget
  /** Proves that whoever asks may have it: the owner's secret, or a join token. */
  readonly proof: string
  readonly namespace: string
  readonly serviceAccount: string
  /** At least one. */
  readonly audiences: readonly string[]
  /** Whole seconds, > 0; the authority may give less. */
  readonly lifetimeSeconds: number
}

export type TokenAnswer =
  | {
      readonly ok: true
      /** SPIFFE ID. */
      readonly id: string
      readonly token: string
      /** Wall clock, milliseconds. */
      readonly notAfterMs: number
    }
  | {
      readonly ok: false
      readonly problem: string
      /** Nobody answered. */
      readonly isUnreachable: boolean
    }

const OK = 0
const UNAVAILABLE = 14

/** Never throws. */
export async function askToken(order: TokenOrder, clock: Clock): Promise<TokenAnswer> {
  const { target, proof: token, audiences, lifetimeSeconds: validitySeconds } = order
  const metadata = { NAMESPACE: order.namespace, SERVICE_ACCOUNT: order.serviceAccount }
  const messages = await loadIdentityMessages()
  return new Promise((resolve) => {
    let answer: Buffer | undefined
    const stream = openControlCall({ target, token, method: 'IssueJwtSvid' }, clock, {
      onMessage(message) {
        answer = Buffer.from(message)
      },
      onEnd(code, problem) {
        const isUnreachable = code === UNAVAILABLE
        if (code !== OK || answer === undefined) {
          resolve({ ok: false, problem: problem || 'there was no answer', isUnreachable })
          return
        }
        try {
          resolve({ ok: true, ...messages.decodeJwtReply(answer) })
        } catch {
          resolve({ ok: false, problem: 'the answer cannot be read', isUnreachable: false })
        }
      },
    })
    stream.send(messages.encodeJwtQuestion({ audiences, validitySeconds, metadata }))
    stream.finish()
  })
}

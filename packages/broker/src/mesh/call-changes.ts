/**
 * What a route does to an HTTP message beyond choosing its way: heads that are rewritten, copies,
 * and answers that are not taken. Only routes that ask for any of it pay for it.
 */
import type { RequestView } from '@weft/model'
import { type CompiledForward, type CompiledTarget, mirrorsOf } from '@weft/traffic'
import type { Leg } from '../leg.ts'
import type { CallObserver, ForwardVerdict, MessageChanges } from '../router.ts'
import type { Admission } from './admission.ts'
import type { HeardAnswer } from './call-logs.ts'
import {
  changesHeads,
  headerContextOf,
  responseHeadOf,
  shadowOf,
  withFieldChanges,
  withRequestHead,
  withResponseHead,
} from './http-head.ts'

export interface ChangedCall {
  readonly leg: Leg
  readonly request: RequestView
  readonly action: CompiledForward
  /** The one that was chosen for this call. */
  readonly target: CompiledTarget
  readonly routeName: string
  readonly admission: Admission
  /** Gets the answer's head as it was; absent: nobody wants it. */
  readonly heard?: HeardAnswer | undefined
}

export interface ChangeDeps {
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Wall clock. */
  readonly wallMs: () => number
  /** Sends a copy; `cluster` is among the action's mirrors. */
  mirror(frame: Uint8Array, cluster: string): void
}

/** Whether calls by this route are more than forwarded. */
export function needsChanges(action: CompiledForward): boolean {
  if (action.source.mirrors.length > 0) return true
  return action.targets.some((target) => changesHeads(action, target))
}

export function changesOf(call: ChangedCall, deps: ChangeDeps): MessageChanges {
  const { leg, request, action, target, routeName, admission, heard } = call
  const facts = { routeName, clusterName: target.cluster, nowMs: deps.wallMs() }
  const changes: { -readonly [K in keyof MessageChanges]: MessageChanges[K] } = {}
  const context = headerContextOf(leg, request, facts)
  const isChanged = changesHeads(action, target)
  changes.request = (frame) => {
    const routed = isChanged ? withRequestHead(frame, action, target, context) : frame
    return routed && withFieldChanges(routed, admission.changes)
  }
  if (action.source.mirrors.length > 0) {
    changes.copy = (frame) => {
      const hit = mirrorsOf(action.source, deps.random)
      const copy = hit.length === 0 ? undefined : shadowOf(frame)
      if (copy === undefined) return
      for (const { cluster } of hit) deps.mirror(copy, cluster)
    }
  }
  changes.answer = (view) => {
    const { stamps } = admission
    if (target.responseHeaders.length + stamps.length === 0) return undefined
    const found = responseHeadOf(view)
    if (found === undefined) return undefined
    const head = { ...found, fields: [...found.fields, ...stamps] }
    if (heard !== undefined) {
      heard.head = found
      heard.handedOn = head
    }
    const context = headerContextOf(leg, request, facts, head)
    return withResponseHead(view, head, target.responseHeaders, context)
  }
  return changes
}

/** Copies end by themselves after so long, in milliseconds. */
const COPY_TIMEOUT_MS = 15_000

/** Of a copy: nobody repeats it. */
export function copyVerdict(pick: ForwardVerdict['pick'], observer: CallObserver): ForwardVerdict {
  const timeoutMs = COPY_TIMEOUT_MS
  return { kind: 'forward', isLasting: false, retries: 0, timeoutMs, pick, observer }
}

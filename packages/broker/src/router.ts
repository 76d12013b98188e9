/**
 * What decides about a request. The kernel asks once per request and follows; which policies
 * stand behind it (routes, authorization, limits, balancing) is the router's.
 */
import type { AttemptOutcome } from '@weft/traffic'
import type { FrameView, HttpResponseEntry } from '@weft/wire'
import type { Leg } from './leg.ts'
import type { RequestCall } from './request-call.ts'
import type { StreamEntry } from './stream-entry.ts'

export interface Router {
  /** Grows when verdicts that were given may be wrong now. */
  readonly version: number
  /** Where a call goes; a promise when somebody must be asked first, and the request waits then. */
  route(leg: Leg, call: RequestCall): RouteVerdict | Promise<RouteVerdict>
}

export type RouteVerdict =
  | ForwardVerdict
  /** ERROR with this code. */
  | { readonly kind: 'refuse'; readonly code: number; readonly message: string }
  /** The broker answers by itself, with one item. */
  | { readonly kind: 'answer'; readonly data: Uint8Array; readonly metadata?: Uint8Array }

/** A rule does not let the call happen. */
export interface Refusal {
  readonly code: number
  readonly message: string
  /** The HTTP status that it is; absent: the code says enough. */
  readonly status?: number
  /** Why, as the access log of a proxy has it (`UO`, `RL` …). */
  readonly flag?: string
  /** Who would have answered and does not let the call in; absent: it did not get that far. */
  readonly by?: Leg
  /** HTTP callers get this in place of an error. */
  readonly answer?: { readonly data: Uint8Array; readonly metadata: Uint8Array }
  /** The head of `answer` as who refused said it, before routes changed it. */
  readonly head?: HttpResponseEntry
}

export interface ForwardVerdict {
  readonly kind: 'forward'
  /**
   * Holds for every request of this peer with the same metadata, until `Router.version` grows:
   * nothing but the metadata and the peer was looked at.
   */
  readonly isLasting: boolean
  /** A responder that was not tried; absent: nobody can take the call now. */
  pick(tried: readonly Leg[]): Leg | Refusal | undefined
  /** From the request to its end, in milliseconds; absent: no limit. */
  readonly timeoutMs?: number
  /** How often a request that was certainly not processed goes to another responder; 0 or more. */
  readonly retries: number
  /** What happens to the message itself; absent: it passes as it is. */
  readonly changes?: MessageChanges
  /** Told of the call's fate; absent: nobody counts. */
  readonly observer?: CallObserver
  /** Begins to watch one call, which then takes the place of `pick`; absent: nothing to watch. */
  watch?(): CallWatch
}

/** Of one call under limits, outlier detection or rules for repeats; other calls have none. */
export interface CallWatch {
  /** For each try until its answer begins, in milliseconds; 0: no limit. */
  readonly perTryMs: number
  /** Who gets the call, first and again. */
  pick(): Leg | Refusal | undefined
  /**
   * An answer begins. After so many milliseconds it is asked again, if the request can be sent
   * again (`mayRepeat`); negative: this is the answer.
   */
  onAnswer(view: FrameView, mayRepeat: boolean): number
  /** A try ended without an answer, or with ERROR; returns as `onAnswer`. */
  onFailure(outcome: AttemptOutcome, mayRepeat: boolean): number
  /** The call is over, whichever way. */
  onEnd(entry: StreamEntry): void
}

/** Of one call; only routes that ask for it have this, and its frames are copied. */
export interface MessageChanges {
  /** The request as its responder gets it; undefined: its metadata cannot be changed. */
  request?(frame: Uint8Array): Uint8Array | undefined
  /** Takes a copy of the request, as its responder gets it. */
  copy?(frame: Uint8Array): void
  /** A frame takes the place of the answer's first one; undefined: it passes. */
  answer?(view: FrameView): Uint8Array | undefined
}

/** Counts calls; what it needs to know of one is in its entry. */
export interface CallObserver {
  /** A whole item passed. */
  onItem(entry: StreamEntry, fromRequester: boolean, view: FrameView): void
  /** `code`: 0 for a good end, else of `RSOCKET_ERROR` or of the application. */
  onEnd(entry: StreamEntry, code: number): void
}

/**
 * Messages of HTTP are for who said that it takes them. Others would go by the routing entry that
 * travels along, which no rule has looked at: rules see the message.
 */
import { RSOCKET_ERROR } from '@weft/wire'
import { Leg } from './leg.ts'
import type { CallWatch, Refusal, RouteVerdict } from './router.ts'

const SPEAKS_RSOCKET: Refusal = {
  code: RSOCKET_ERROR.rejected,
  message: 'WEFT-404 the service speaks RSocket, not HTTP: ask for POST /api/<service>/<method>',
  status: 404,
}

/** The verdict on a message of HTTP, which nobody else gets. */
export function onlyToHttp(verdict: RouteVerdict): RouteVerdict {
  if (verdict.kind !== 'forward') return verdict
  const { pick, watch } = verdict
  return {
    ...verdict,
    pick: (tried) => speaking(pick(tried)),
    ...(watch === undefined ? {} : { watch: () => watchOf(watch.call(verdict)) }),
  }
}

function watchOf(watch: CallWatch): CallWatch {
  return {
    perTryMs: watch.perTryMs,
    pick: () => speaking(watch.pick()),
    onAnswer: (view, mayRepeat) => watch.onAnswer(view, mayRepeat),
    onFailure: (outcome, mayRepeat) => watch.onFailure(outcome, mayRepeat),
    onEnd: (entry) => watch.onEnd(entry),
  }
}

function speaking(found: Leg | Refusal | undefined): Leg | Refusal | undefined {
  return found instanceof Leg && !found.facts.features.has('http') ? SPEAKS_RSOCKET : found
}

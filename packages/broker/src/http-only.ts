/**
 * Messages of HTTP are for who said that it takes them. Others would go by the routing entry that
 * travels along, which no rule has looked at: rules see the message.
 *
 * Who takes them gets what rules have seen, and nothing that only proxies may say: the path in its
 * canonical form, and of a caller that dialled in no `x-forwarded-client-cert`.
 */
import type { FieldChanges } from '@weft/traffic'
import { RSOCKET_ERROR } from '@weft/wire'
import { Leg } from './leg.ts'
import { withFieldChanges } from './mesh/http-head.ts'
import type { RequestCall } from './request-call.ts'
import type { CallWatch, MessageChanges, Refusal, Router, RouteVerdict } from './router.ts'

const CLIENT_CERT = 'x-forwarded-client-cert'

const SPEAKS_RSOCKET: Refusal = {
  code: RSOCKET_ERROR.rejected,
  message: 'WEFT-404 the service speaks RSocket, not HTTP: ask for POST /api/<service>/<method>',
  status: 404,
}

/** Decides about messages of HTTP as `router` does, as filters have left them. */
export function forHttp(router: Pick<Router, 'route'>): Pick<Router, 'route'> {
  return {
    route(leg, call) {
      const verdict = router.route(leg, call)
      return verdict instanceof Promise
        ? verdict.then((found) => onlyToHttp(found, leg, call))
        : onlyToHttp(verdict, leg, call)
    },
  }
}

function onlyToHttp(verdict: RouteVerdict, caller: Leg, call: RequestCall): RouteVerdict {
  if (verdict.kind !== 'forward') return verdict
  const { pick, watch, changes } = verdict
  const own = ownChanges(caller, call)
  return {
    ...verdict,
    pick: (tried) => speaking(pick(tried)),
    ...(watch === undefined ? {} : { watch: () => watchOf(watch.call(verdict)) }),
    ...(own === undefined ? {} : { changes: before(own, changes) }),
  }
}

/** Undefined: the head passes as it came. */
function ownChanges({ socket }: Leg, call: RequestCall): FieldChanges | undefined {
  const { path, sentPath } = call
  // Peers of our own process speak for sidecars, which have said it themselves.
  const isOurs = socket.remoteAddress.port === 0
  const claims = !isOurs && call.header(CLIENT_CERT) !== undefined
  if (path === sentPath && !claims) return undefined
  return { path, ...(claims ? { remove: [CLIENT_CERT] } : {}) }
}

/** What routes and filters do to the head, they do to what rules have seen. */
function before(own: FieldChanges, changes: MessageChanges | undefined): MessageChanges {
  return {
    ...changes,
    request(frame) {
      const seen = withFieldChanges(frame, [own])
      return seen === undefined || changes?.request === undefined ? seen : changes.request(seen)
    },
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

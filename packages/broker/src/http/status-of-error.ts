/** RSocket errors as HTTP answers. */
import { RSOCKET_ERROR } from '@weft/wire'

export interface ErrorAnswer {
  readonly status: number
  readonly body: string
  /** It was certainly not processed: another try does no harm. */
  readonly isRetrySafe: boolean
}

/** The broker's own errors begin with `WEFT-<status>`, which says more than the code. */
export function answerOfError(code: number, message: string): ErrorAnswer {
  const named = /^WEFT-(4\d\d|5\d\d) /.exec(message)
  const status = named === null ? statusOf(code) : Number(named[1])
  return { status, body: `${message}\n`, isRetrySafe: code === RSOCKET_ERROR.rejected }
}

function statusOf(code: number): number {
  if (code === RSOCKET_ERROR.rejected) return 503
  if (code === RSOCKET_ERROR.denied) return 403
  if (code === RSOCKET_ERROR.invalid) return 400
  return code === RSOCKET_ERROR.canceled ? 504 : 500
}

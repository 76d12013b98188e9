/** HTTP statuses that policies name, as RSocket errors. */
import { RSOCKET_ERROR } from '@weft/wire'

export function errorOfStatus(status: number): number {
  if (status === 400) return RSOCKET_ERROR.invalid
  if (status === 401 || status === 403) return RSOCKET_ERROR.denied
  if (status === 404 || status === 429 || status === 503) return RSOCKET_ERROR.rejected
  return status === 504 ? RSOCKET_ERROR.canceled : RSOCKET_ERROR.applicationError
}

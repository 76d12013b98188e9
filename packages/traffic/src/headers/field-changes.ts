/** What is done to a request's head beside a route's own changes. */
import type { HeaderValue } from '@weft/model'

export interface FieldChanges {
  /** Lower-case names. */
  readonly remove?: readonly string[]
  readonly set?: readonly HeaderValue[]
  /** Another line beside those that are there. */
  readonly append?: readonly HeaderValue[]
  /** In place of the path with query that was sent. */
  readonly path?: string
}

/** A value that would end its line would begin another one. */
export function isFieldValue(text: string): boolean {
  return !/[\0\r\n]/.test(text)
}

/** What filters left behind in an exchange for the steps after them. */
import type { ExchangeFacts } from './exchange-facts.ts'
import type { BodyWaiter } from './request-body.ts'
import type { RequestChanges } from './request-changes.ts'

export class FilterState {
  /** What they change about the request's fields; absent: nothing. */
  changes: RequestChanges | undefined
  /** What they found out; absent: nothing. */
  facts: ExchangeFacts | undefined
  /** One of them waits for the body. */
  bodyWaiter: BodyWaiter | undefined
  /** Of the request's body; 0: no limit. */
  maxBodyBytes = 0

  reset(): void {
    this.changes = undefined
    this.facts = undefined
    this.bodyWaiter = undefined
    this.maxBodyBytes = 0
  }
}

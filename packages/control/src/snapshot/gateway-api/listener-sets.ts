/** What a ListenerSet as a whole says once its listeners are judged. */
import type { Condition } from '../../status/object-status.ts'
import type { JudgedListener } from './listeners.ts'

/** Accepted while any of its listeners is; the others say so themselves. */
export function judgeListenerSet(own: readonly JudgedListener[]): readonly Condition[] {
  const bad = own.filter(({ isServed }) => !isServed).length
  const accepted: Condition =
    bad === 0
      ? { type: 'Accepted', status: true, reason: 'Accepted', message: 'listeners accepted' }
      : {
          type: 'Accepted',
          status: bad < own.length,
          reason: 'ListenersNotValid',
          message: `${bad} of ${own.length} listeners are not served`,
        }
  return [accepted, ...own.flatMap(({ conditions }) => conditions)]
}

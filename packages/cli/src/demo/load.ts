/**
 * The demo's visitors: a fixed number of page loads a second, most of them
 * anonymous, some by jason. Open loop: a slow page does not slow them down, it
 * piles them up, as people do.
 */
import type { Clock } from '@weft/base'
import { openShopClient, type Visit } from './shop-client.ts'

export interface Load {
  /** How many visits ended, and how many of them not with a page. */
  counts(): { readonly visits: number; readonly failed: number }
  /** The last failures, for people. */
  failures(): readonly string[]
  stop(): void
}

export interface LoadOptions {
  readonly url: string
  readonly anonymousPerSecond: number
  readonly jasonPerSecond: number
}

const MAX_OPEN = 200
const KEPT_FAILURES = 5

export function startLoad({ url, ...rates }: LoadOptions, clock: Clock): Load {
  const monotonicMs = () => clock.monotonicMs()
  const anonymous = openShopClient(url, monotonicMs)
  const jason = openShopClient(url, monotonicMs)
  const failures: string[] = []
  let visits = 0
  let failed = 0
  let open = 0
  let running = true

  const ended = (visit: Visit) => {
    open--
    if (!running) return
    visits++
    if (visit.status === 200) return
    failed++
    failures.push(`${visit.status} ${visit.body.slice(0, 120)}`)
    if (failures.length > KEPT_FAILURES) failures.shift()
  }
  const every = (perSecond: number, visit: () => Promise<Visit>) => {
    if (perSecond === 0) return
    const again = () => {
      if (!running) return
      clock.after(1_000 / perSecond, again)
      if (open >= MAX_OPEN) return
      open++
      void visit().then(ended)
    }
    again()
  }
  every(rates.anonymousPerSecond, () => anonymous.get('/productpage'))
  void jason.signIn('jason').then(() => {
    every(rates.jasonPerSecond, () => jason.get('/productpage'))
  })
  return {
    counts: () => ({ visits, failed }),
    failures: () => failures,
    stop() {
      running = false
      anonymous.close()
      jason.close()
    },
  }
}

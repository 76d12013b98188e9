/** What the check's visitors see: which version of reviews answered, how long it took. */
import type { Clock } from '@weft/base'
import { openShopClient, type ShopClient, type Visit } from '../shop-client.ts'

export interface Visitors {
  readonly anonymous: ShopClient
  readonly jason: ShopClient
  close(): void
}

const REVIEWS = '/api/v1/products/0/reviews'

export async function openVisitors(url: string, clock: Clock): Promise<Visitors> {
  const monotonicMs = () => clock.monotonicMs()
  const anonymous = openShopClient(url, monotonicMs)
  const jason = openShopClient(url, monotonicMs)
  await jason.signIn('jason')
  return {
    anonymous,
    jason,
    close() {
      anonymous.close()
      jason.close()
    },
  }
}

export interface ReviewsVisit extends Visit {
  /** `v1` …, or what came in its place. */
  readonly version: string
}

/** Asks the product page for its reviews: through gateway and three sidecars. */
export async function visitReviews(client: ShopClient): Promise<ReviewsVisit> {
  const visit = await client.get(REVIEWS)
  return { ...visit, version: versionOf(visit) }
}

function versionOf({ status, body }: Visit): string {
  if (status !== 200) return `status ${status}`
  return /"podname":"reviews-(v\d)"/.exec(body)?.[1] ?? 'no reviews'
}

/** Shares by version, in percent, of `count` visits, a few at a time. */
export async function sampleShares(
  client: ShopClient,
  count: number,
): Promise<ReadonlyMap<string, number>> {
  const AT_ONCE = 8
  const seen = new Map<string, number>()
  let left = count
  const visitor = async () => {
    while (left-- > 0) {
      const { version } = await visitReviews(client)
      seen.set(version, (seen.get(version) ?? 0) + 100 / count)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, visitor))
  return seen
}

export function renderShares(shares: ReadonlyMap<string, number>): string {
  return [...shares]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([version, share]) => `${version} ${share.toFixed(1)} %`)
    .join(', ')
}

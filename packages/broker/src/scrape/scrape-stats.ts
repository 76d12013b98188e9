/** What scraping through the broker came to, as a metric. */
import type { MetricsRegistry } from '@weft/telemetry'
import type { Scraper } from './scraper.ts'

export function registerScrapeStats(registry: MetricsRegistry, { counts }: Scraper): void {
  const codes = registry.table({ labels: ['code'], maxSeries: 8, expiryMs: 0 })
  const total = registry.counter(
    'weft_rsocket_scrapes_total',
    'Instances that were asked for their metrics, by what the scraper was answered.',
    codes,
  )
  registry.onCollect(() => {
    for (const [code, count] of counts) total.set(codes.slot([String(code)]), count)
  })
}

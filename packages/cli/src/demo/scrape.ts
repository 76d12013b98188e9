/** Asks the proxies of the demo for their metrics. */
import { LOOPBACK } from '../run/addresses.ts'

const TIMEOUT_MS = 2_000

/** Expositions by workload name; a proxy that does not answer is left out. */
export async function scrape(
  adminPorts: ReadonlyMap<string, number>,
): Promise<ReadonlyMap<string, string>> {
  const expositions = new Map<string, string>()
  await Promise.all(
    [...adminPorts].map(async ([name, port]) => {
      const text = await scrapeOne(port)
      if (text !== undefined) expositions.set(name, text)
    }),
  )
  return expositions
}

async function scrapeOne(port: number): Promise<string | undefined> {
  try {
    const response = await fetch(`http://${LOOPBACK}:${port}/stats/prometheus`, {
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    return response.ok ? await response.text() : undefined
  } catch {
    return undefined
  }
}

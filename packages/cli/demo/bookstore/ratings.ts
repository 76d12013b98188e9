/** Stars that reviewers gave. */
import { json, portFromEnvironment, startApp, versionFromEnvironment } from './app.ts'

const given = new Map<number, Record<string, number>>()

startApp({
  service: 'ratings',
  version: versionFromEnvironment(),
  port: portFromEnvironment(),
  routes: [
    { method: 'GET', path: /^\/health$/, answer: () => json({ status: 'Ratings is healthy' }) },
    {
      method: 'GET',
      path: /^\/ratings\/(\d+)$/,
      answer: (_call, [id]) =>
        json({ id: Number(id), ratings: given.get(Number(id)) ?? { Reviewer1: 5, Reviewer2: 4 } }),
    },
    {
      method: 'POST',
      path: /^\/ratings\/(\d+)$/,
      answer: (call, [id]) => {
        const ratings = parseRatings(call.body)
        if (ratings === undefined) return json({ error: 'please provide ratings from 1 to 5' }, 400)
        // A demo runs for an afternoon: what visitors post must not grow without end.
        if (given.size >= 1_000) given.clear()
        given.set(Number(id), ratings)
        return json({ id: Number(id), ratings })
      },
    },
  ],
})

function parseRatings(body: string): Record<string, number> | undefined {
  try {
    const value: unknown = JSON.parse(body)
    if (typeof value !== 'object' || value === null) return undefined
    const entries = Object.entries(value)
    const fits = entries.every(([, stars]) => Number.isInteger(stars) && stars >= 1 && stars <= 5)
    return fits ? Object.fromEntries(entries) : undefined
  } catch {
    return undefined
  }
}

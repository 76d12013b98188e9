/**
 * What readers say. v1 asks nobody; v2 and v3 ask `ratings` and show the stars in
 * black and in red, so that a look at the page says which version answered.
 */
import {
  type Call,
  json,
  passedOn,
  portFromEnvironment,
  startApp,
  versionFromEnvironment,
} from './app.ts'

const version = versionFromEnvironment()
const starColor = { v1: undefined, v2: 'black', v3: 'red' }[version]
const ratingsUrl = process.env.RATINGS_URL ?? 'http://ratings:9080'
/** More patient than any user; that is the point of the timeout in the tour. */
const RATINGS_TIMEOUT_MS = 10_000

const TEXTS = [
  ['Reviewer1', 'Mistaken identities, twins and slapstick: still the shortest way to laugh.'],
  ['Reviewer2', 'Fun from the first scene, though it lacks the depth of the later plays.'],
] as const

startApp({
  service: 'reviews',
  version,
  port: portFromEnvironment(),
  routes: [
    { method: 'GET', path: /^\/health$/, answer: () => json({ status: 'Reviews is healthy' }) },
    {
      method: 'GET',
      path: /^\/reviews\/(\d+)$/,
      answer: async (call, [id]) => {
        const stars = starColor === undefined ? undefined : await askRatings(call, id ?? '0')
        return json({
          id,
          podname: process.env.WEFT_WORKLOAD ?? `reviews-${version}`,
          clustername: 'weft',
          reviews: TEXTS.map(([reviewer, text]) => ({
            reviewer,
            text,
            ...(starColor === undefined ? {} : { rating: ratingOf(reviewer, stars, starColor) }),
          })),
        })
      },
    },
  ],
})

async function askRatings(call: Call, id: string): Promise<Record<string, number> | undefined> {
  try {
    const response = await fetch(`${ratingsUrl}/ratings/${id}`, {
      headers: passedOn(call),
      signal: AbortSignal.timeout(RATINGS_TIMEOUT_MS),
    })
    if (!response.ok) return undefined
    return ((await response.json()) as { ratings: Record<string, number> }).ratings
  } catch {
    return undefined
  }
}

function ratingOf(
  reviewer: string,
  stars: Record<string, number> | undefined,
  color: string,
): object {
  const given = stars?.[reviewer]
  return given === undefined
    ? { error: 'Ratings service is currently unavailable' }
    : { stars: given, color }
}

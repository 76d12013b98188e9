/**
 * The tour, taken by a machine: each step applies its file and then looks at
 * real answers and at the proxies' own counters until it knows.
 */
import { type Clock, sleep } from '@weft/base'
import { BROKER } from '../bookstore-mesh.ts'
import { readCalls } from '../calls.ts'
import { scrape } from '../scrape.ts'
import type { Visit } from '../shop-client.ts'
import type { TourStepId } from '../tour.ts'
import { type Effect, type Observation, watchChange } from './measure.ts'
import { type CheckRow, EFFECT_LIMIT_MS } from './row.ts'
import { renderShares, sampleShares, type Visitors, visitReviews } from './visitors.ts'

export interface StepDeps {
  readonly visitors: Visitors
  readonly adminPorts: ReadonlyMap<string, number>
  readonly clock: Clock
  /** Applies the step's file, as `weft apply` does. */
  apply(): Promise<void>
}

export type StepCheck = (step: string, deps: StepDeps) => Promise<readonly CheckRow[]>

const PACE_MS = 15
const WINDOW_MS = 1_500
/** Long enough for the tour's 7 s delay to be told from a slow machine, short enough for the timeout. */
const DELAYED_FROM_MS = 6_900
const SAVED_BELOW_MS = 2_500
const SETTLE_MS = 150
const COPIES_LIMIT_MS = 3_000
const SORRY = 'product reviews are currently unavailable'

export const stepChecks = {
  canary: checkCanary,
  jason: checkJason,
  delay: checkDelay,
  timeout: checkTimeout,
  mirror: checkMirror,
} as const satisfies Record<TourStepId, StepCheck>

/** Before any rule every version answers. The least busy one more often: v1 asks nobody and is quicker. */
export async function checkBefore(step: string, deps: StepDeps): Promise<readonly CheckRow[]> {
  const shares = await sampleShares(deps.visitors.anonymous, 300)
  const all = ['v1', 'v2', 'v3'].every((version) => between(shares.get(version), 10, 80))
  const isThree = all && shares.size === 3
  return [row(step, 'versions of reviews', 'all three', renderShares(shares), isThree)]
}

async function checkCanary(step: string, deps: StepDeps): Promise<readonly CheckRow[]> {
  const effect = await changeTo(deps, async () => {
    const visit = await visitReviews(deps.visitors.anonymous)
    return observed(visit, ['v1', 'v2'].includes(visit.version), visit.version)
  })
  const shares = await sampleShares(deps.visitors.anonymous, 600)
  // 600 visits at 10 %: a deviation of 5 points happens once in 20 000 runs.
  const isSplit = between(shares.get('v1'), 85, 95) && between(shares.get('v2'), 5, 15)
  const onlyTwo = shares.size === 2
  return [
    changed(step, 'v3 gets nothing more', 'v1 or v2', effect),
    row(step, 'shares of 600 visits', 'v1 90 %, v2 10 %', renderShares(shares), isSplit && onlyTwo),
  ]
}

async function checkJason(step: string, deps: StepDeps): Promise<readonly CheckRow[]> {
  const { jason, anonymous } = deps.visitors
  const effect = await changeTo(deps, async () => {
    const visit = await visitReviews(jason)
    return observed(visit, visit.version === 'v2', visit.version)
  })
  const others = await sampleShares(anonymous, 200)
  const page = await jason.get('/productpage')
  const hasBlackStars = page.body.includes('stars black') && page.body.includes('jason')
  return [
    changed(step, 'reviews for jason', 'v2', effect),
    row(step, 'reviews for others', 'v1 100.0 %', renderShares(others), isOnly(others, 'v1')),
    row(step, 'jason’s page', 'black stars', hasBlackStars ? 'black stars' : 'none', hasBlackStars),
  ]
}

async function checkDelay(step: string, deps: StepDeps): Promise<readonly CheckRow[]> {
  const { jason, anonymous } = deps.visitors
  const effect = await changeTo(
    deps,
    async () => {
      const visit = await jason.get('/productpage')
      return observed(visit, isPage(visit) && visit.tookMs >= DELAYED_FROM_MS, seconds(visit))
    },
    // Fewer probes: each of them hangs in three proxies and two applications for 7 s.
    50,
  )
  const other = await anonymous.get('/productpage')
  const isFast = isPage(other) && other.tookMs < SAVED_BELOW_MS
  return [
    changed(step, 'jason’s page comes', 'after 7 s', effect),
    row(step, 'others’ page comes', 'at once', seconds(other), isFast),
  ]
}

async function checkTimeout(step: string, deps: StepDeps): Promise<readonly CheckRow[]> {
  const { jason } = deps.visitors
  const effect = await changeTo(
    deps,
    async () => {
      const visit = await jason.get('/productpage')
      return observed(visit, isPage(visit) && visit.tookMs < SAVED_BELOW_MS, seconds(visit))
    },
    50,
  )
  const page = await jason.get('/productpage')
  const isSaved = isPage(page) && page.body.includes(SORRY) && page.body.includes('ISBN-10')
  const seen = isSaved ? 'details, and an apology for reviews' : `status ${page.status}`
  return [
    changed(step, 'jason’s page comes', 'after 0.5 s', effect),
    row(step, 'what is on it', 'details, and an apology for reviews', seen, isSaved),
  ]
}

async function checkMirror(step: string, deps: StepDeps): Promise<readonly CheckRow[]> {
  const before = await arrivedAt(deps, 'v3')
  const effect = await changeTo(
    deps,
    async () => {
      const startedAtMs = deps.clock.monotonicMs()
      const { version } = await visitReviews(deps.visitors.anonymous)
      const copies = (await arrivedAt(deps, 'v3')) - before
      return { startedAtMs, isRight: version === 'v1' && copies > 0, seen: `v3 has ${copies}` }
    },
    30,
  )
  const counted = await countCopies(deps, 100)
  return [
    changed(step, 'v3 gets a copy', 'v3 has copies, v1 answers', effect),
    row(step, 'who answers 100 visits', 'v1 100.0 %', counted.answered, counted.isAnsweredByV1),
    row(step, 'copies per request at v3', '1', counted.ratio.toFixed(2), isOne(counted.ratio)),
  ]
}

async function countCopies(deps: StepDeps, visits: number) {
  await sleep(deps.clock, SETTLE_MS)
  const before = await arrivals(deps)
  const shares = await sampleShares(deps.visitors.anonymous, visits)
  // Copies are on their way when the answer is: their counter is given time to follow.
  const untilMs = deps.clock.monotonicMs() + COPIES_LIMIT_MS
  let ratio = 0
  do {
    await sleep(deps.clock, SETTLE_MS)
    const now = await arrivals(deps)
    const answered = now.v1 - before.v1
    ratio = answered === 0 ? 0 : (now.v3 - before.v3) / answered
  } while (!isOne(ratio) && deps.clock.monotonicMs() < untilMs)
  return { answered: renderShares(shares), isAnsweredByV1: isOnly(shares, 'v1'), ratio }
}

async function arrivals(deps: StepDeps): Promise<{ readonly v1: number; readonly v3: number }> {
  const [v1, v3] = await Promise.all([arrivedAt(deps, 'v1'), arrivedAt(deps, 'v3')])
  return { v1, v3 }
}

/** Visitors come while the two counters are read, so they may differ by a few. */
function isOne(ratio: number): boolean {
  return between(ratio, 0.97, 1.03)
}

/** Requests that came to a version of reviews, by the counter of its sidecar or of the broker. */
async function arrivedAt(deps: StepDeps, version: string): Promise<number> {
  const name = [`reviews-${version}`, BROKER].find((each) => deps.adminPorts.has(each)) ?? ''
  const expositions = await scrape(new Map([[name, deps.adminPorts.get(name) ?? 0]]))
  const calls = readCalls([...expositions.values()]).values()
  return [...calls]
    .filter(({ reporter }) => reporter === 'destination')
    .filter((call) => call.destination === 'reviews' && call.version === version)
    .reduce((sum, { requests }) => sum + requests, 0)
}

function changeTo(
  deps: StepDeps,
  probe: () => Promise<Observation>,
  paceMs = PACE_MS,
): Promise<Effect> {
  return watchChange(() => deps.apply(), probe, { paceMs, windowMs: WINDOW_MS }, deps.clock)
}

function observed({ startedAtMs }: Visit, isRight: boolean, seen: string): Observation {
  return { startedAtMs, isRight, seen }
}

function changed(step: string, checked: string, expected: string, effect: Effect): CheckRow {
  const { tookMs, seen, held } = effect
  return {
    step,
    checked,
    expected,
    seen,
    tookMs: tookMs ?? null,
    ok: tookMs !== undefined && tookMs <= EFFECT_LIMIT_MS && held >= 5,
  }
}

export function row(
  step: string,
  checked: string,
  expected: string,
  seen: string,
  ok: boolean,
): CheckRow {
  return { step, checked, expected, seen, tookMs: null, ok }
}

function isPage({ status, body }: Visit): boolean {
  return status === 200 && body.includes('Book Details')
}

function isOnly(shares: ReadonlyMap<string, number>, version: string): boolean {
  return shares.size === 1 && shares.has(version)
}

function between(value: number | undefined, low: number, high: number): boolean {
  return value !== undefined && value >= low && value <= high
}

function seconds({ status, tookMs }: Visit): string {
  const took = `${(tookMs / 1_000).toFixed(1)} s`
  return status === 200 ? `after ${took}` : `status ${status} after ${took}`
}

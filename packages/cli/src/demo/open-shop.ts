/** The demo's mesh, started, and waited for until a visitor sees a whole page of every version. */
import { type Clock, sleep } from '@weft/base'
import { CommandError } from '../command.ts'
import { type BookstoreMesh, type DemoKind, startBookstore } from './bookstore-mesh.ts'
import { visitReviews } from './check/visitors.ts'
import { openShopClient } from './shop-client.ts'

export interface OpenShop {
  readonly mesh: BookstoreMesh
  /** From the first process to the first whole page, in milliseconds. */
  readonly upMs: number
}

export function startingText(kind: DemoKind): string {
  return kind === 'sidecars'
    ? 'Starting control plane, gateway and six workloads …'
    : 'Starting control plane, gateway, a broker and six workloads that dial out to it …'
}

const OPEN_LIMIT_MS = 30_000
const VERSIONS = ['v1', 'v2', 'v3']

/** @throws {CommandError} With what the processes printed last, if the shop does not open. */
export async function openShop(
  env: Readonly<Record<string, string | undefined>>,
  clock: Clock,
  kind: DemoKind,
): Promise<OpenShop> {
  const startedAtMs = clock.monotonicMs()
  const usual = await tryToOpen(env, true, clock, kind)
  // A port that was free a moment ago: another demo that started just now has it.
  const tried = isPortTaken(usual) ? await tryToOpen(env, false, clock, kind) : usual
  if (typeof tried === 'string') throw new CommandError(`The demo did not start: ${tried}`)
  return { mesh: tried, upMs: clock.monotonicMs() - startedAtMs }
}

function isPortTaken(tried: BookstoreMesh | string): boolean {
  return typeof tried === 'string' && tried.includes('EADDRINUSE')
}

/** @returns The mesh, or why there is none. */
async function tryToOpen(
  env: Readonly<Record<string, string | undefined>>,
  usesUsualPorts: boolean,
  clock: Clock,
  kind: DemoKind,
): Promise<BookstoreMesh | string> {
  let mesh: BookstoreMesh
  try {
    mesh = await startBookstore(env, usesUsualPorts, kind)
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  const untilMs = clock.monotonicMs() + OPEN_LIMIT_MS
  const problem = await Promise.race([mesh.broken, visitUntilOpen(mesh, clock, untilMs)])
  if (problem === undefined) return mesh
  await mesh.stop()
  return problem
}

/** @returns What was wrong last when the time is over; `undefined` as soon as all is well. */
async function visitUntilOpen(
  { url, gatewayLog }: BookstoreMesh,
  clock: Clock,
  untilMs: number,
): Promise<string | undefined> {
  const client = openShopClient(url, () => clock.monotonicMs())
  const seen = new Set<string>()
  try {
    for (;;) {
      const page = await client.get('/productpage')
      const isWhole = page.status === 200 && !page.body.includes('Sorry,')
      if (isWhole) seen.add((await visitReviews(client)).version)
      if (VERSIONS.every((version) => seen.has(version))) return undefined
      const log = page.status === 0 ? gatewayLog() : ''
      if (log.includes('EADDRINUSE')) return log
      if (clock.monotonicMs() > untilMs) {
        return `${url}/productpage: ${page.status} ${page.body}\n${log}`
      }
      // A page that is there comes back for the other versions at once.
      if (!isWhole) await sleep(clock, 25)
    }
  } finally {
    client.close()
  }
}

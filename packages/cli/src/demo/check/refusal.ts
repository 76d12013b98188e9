/** A bad file in the watched folder: refused, explained, and without effect on the traffic. */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, sleep } from '@weft/base'
import type { MeshApi } from '../../mesh-api.ts'
import type { CheckRow } from './row.ts'
import { row } from './steps.ts'
import { renderShares, sampleShares, type Visitors } from './visitors.ts'

export interface RefusalDeps {
  readonly api: MeshApi
  readonly visitors: Visitors
  readonly clock: Clock
  readonly meshDir: string
}

/** Weight is a number: line 11. */
const BAD = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: details
spec:
  hosts: [details]
  http:
    - route:
        - destination:
            host: details
          weight: many
`
const BAD_LINE = 11
const NOTICE_LIMIT_MS = 2_000

export async function checkRefusal(step: string, deps: RefusalDeps): Promise<CheckRow[]> {
  const file = join(deps.meshDir, 'typo.yaml')
  const writtenAtMs = deps.clock.monotonicMs()
  await writeFile(file, BAD)
  const problem = await waitForProblem(deps, writtenAtMs + NOTICE_LIMIT_MS)
  const tookMs = deps.clock.monotonicMs() - writtenAtMs
  const shares = await sampleShares(deps.visitors.anonymous, 100)
  await rm(file)
  const expected = `typo.yaml:${BAD_LINE} spec.http[0].route[0].weight`
  const isUnchanged = shares.size === 1 && shares.has('v1')
  return [
    {
      ...row(step, 'weft status says where', expected, problem ?? 'nothing', problem === expected),
      tookMs,
    },
    row(step, 'the last good state stays', 'v1 100.0 %', renderShares(shares), isUnchanged),
  ]
}

async function waitForProblem(deps: RefusalDeps, untilMs: number): Promise<string | undefined> {
  while (deps.clock.monotonicMs() < untilMs) {
    const { problems } = await deps.api.status()
    const found = problems.find(({ file }) => file.endsWith('typo.yaml'))
    if (found !== undefined) return `typo.yaml:${found.line} ${found.path}`
    await sleep(deps.clock, 25)
  }
  return undefined
}

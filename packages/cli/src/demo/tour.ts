/** The guided tour as data: what to type, and what to look at then. */
import { relative } from 'node:path'
import { EXAMPLE_DIR } from '../program-files.ts'

export interface TourStep {
  readonly id: TourStepId
  readonly title: string
  /** Below the example's folder. */
  readonly file: string
  /** What changes, for somebody who watches the screen or the page. */
  readonly look: string
}

export type TourStepId = 'canary' | 'jason' | 'delay' | 'timeout' | 'mirror'

export const TOUR: readonly TourStep[] = [
  {
    id: 'canary',
    title: '90/10 canary',
    file: 'tour/1-canary.yaml',
    look: 'reviews: 90 % v1, 10 % v2; v3 gets nothing',
  },
  {
    id: 'jason',
    title: 'routing by header',
    file: 'tour/2-jason.yaml',
    look: 'sign in as jason: black stars (v2) on every load, nobody else has them',
  },
  {
    id: 'delay',
    title: '7 s delay fault',
    file: 'tour/3-delay.yaml',
    look: 'jason waits 7 s for his page; p99 of reviews climbs',
  },
  {
    id: 'timeout',
    title: 'the timeout that saves it',
    file: 'tour/4-timeout.yaml',
    look: 'jason has his page after half a second, without the reviews',
  },
  {
    id: 'mirror',
    title: 'mirror',
    file: 'tour/5-mirror.yaml',
    look: 'v1 answers everybody, v3 gets a copy of each request',
  },
]

/** The command of a step, as typed in `cwd`. @param weft How this machine calls weft. */
export function commandOf(
  step: TourStep,
  weft: string,
  cwd: string,
  control: string | undefined,
): string {
  const absolute = `${EXAMPLE_DIR}/${step.file}`
  const below = relative(cwd, absolute)
  const path = below.startsWith('..') ? absolute : below
  return `${weft} apply -f ${path}${control === undefined ? '' : ` --control ${control}`}`
}

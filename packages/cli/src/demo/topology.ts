/** What the demo runs, as data: the bookstore's workloads, and where its files are. */
import { fileURLToPath } from 'node:url'

export interface DemoWorkload {
  readonly service: string
  readonly version: string
  /** File of the application below `bookstore`. */
  readonly file: string
}

/** The port every service of Bookinfo has, as callers write it. */
export const BOOKSTORE_PORT = 9080

export const WORKLOADS: readonly DemoWorkload[] = [
  { service: 'productpage', version: 'v1', file: 'productpage.ts' },
  { service: 'details', version: 'v1', file: 'details.ts' },
  { service: 'reviews', version: 'v1', file: 'reviews.ts' },
  { service: 'reviews', version: 'v2', file: 'reviews.ts' },
  { service: 'reviews', version: 'v3', file: 'reviews.ts' },
  { service: 'ratings', version: 'v1', file: 'ratings.ts' },
]

export function workloadName({ service, version }: DemoWorkload): string {
  return `${service}-${version}`
}

const packageDir = fileURLToPath(new URL('../../', import.meta.url))

/** The applications' code. */
export const BOOKSTORE_DIR = `${packageDir}demo/bookstore`
/** What the demo's watched folder begins with, and the files of the tour. */
export const EXAMPLE_DIR = fileURLToPath(new URL('../../../../examples/bookstore', import.meta.url))

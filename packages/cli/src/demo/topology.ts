/** What the demo runs, as data: the bookstore's workloads. */
export interface DemoWorkload {
  readonly service: string
  readonly version: string
  /** Of the application: its file's name without extension. */
  readonly file: string
}

/** The port every service of Bookinfo has, as callers write it. */
export const BOOKSTORE_PORT = 9080

export const WORKLOADS: readonly DemoWorkload[] = [
  { service: 'productpage', version: 'v1', file: 'productpage' },
  { service: 'details', version: 'v1', file: 'details' },
  { service: 'reviews', version: 'v1', file: 'reviews' },
  { service: 'reviews', version: 'v2', file: 'reviews' },
  { service: 'reviews', version: 'v3', file: 'reviews' },
  { service: 'ratings', version: 'v1', file: 'ratings' },
]

export function workloadName({ service, version }: DemoWorkload): string {
  return `${service}-${version}`
}

/** What every contender is told to do. */
export interface Plan {
  /** Folder for configurations and logs. */
  readonly dir: string
  readonly port: number
  /** Both endpoints of the upstream. */
  readonly upstreams: readonly [number, number]
  readonly accessLog: boolean
}

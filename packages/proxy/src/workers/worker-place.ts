/** Which of how many processes that carry one proxy's traffic. */
export interface WorkerPlace {
  readonly index: number
  readonly count: number
}

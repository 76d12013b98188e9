/**
 * Whether peers may send here: the proxy is configured, its listeners are open,
 * its application answers, and nobody is leaving. Told to the control plane on
 * every change.
 */

export interface HealthFacts {
  /** The first configuration is in force. */
  readonly configured: boolean
  /** Why listeners are not open, e.g. a port that is taken. */
  readonly listenerProblem: string | undefined
  /** Why the application does not answer; `undefined` when it does or there is none to ask. */
  readonly appProblem: string | undefined
  readonly draining: boolean
}

export class HealthReport {
  #facts: HealthFacts
  #tell: ((healthy: boolean, message: string) => void) | undefined
  #told: string | undefined

  constructor(facts: HealthFacts) {
    this.#facts = facts
  }

  /** There is somebody to tell: what is so now, and every change. */
  connect(tell: (healthy: boolean, message: string) => void): void {
    this.#tell = tell
    this.update({})
  }

  update(change: Partial<HealthFacts>): void {
    this.#facts = { ...this.#facts, ...change }
    if (this.#tell === undefined) return
    const problem = healthProblem(this.#facts)
    const told = problem ?? ''
    if (this.#told === told) return
    this.#told = told
    this.#tell(problem === undefined, told)
  }
}

/** The first reason against sending traffic, in order of what to look at first. */
function healthProblem(facts: HealthFacts): string | undefined {
  if (facts.draining) return 'draining'
  if (!facts.configured) return 'waiting for the first configuration'
  return facts.listenerProblem ?? facts.appProblem
}

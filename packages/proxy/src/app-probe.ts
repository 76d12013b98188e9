/**
 * Whether the application beside this proxy takes connections: a TCP connect to
 * every port it offers, again and again. The mesh sends nothing before the first
 * success, so a slow start is no error.
 *
 *     unknown ─ all connect ─► healthy ─ 3 rounds in a row fail ─► unhealthy
 *                                 ▲                                    │
 *                                 └──────────── all connect ───────────┘
 */
import type { Clock } from '@weft/base'
import { renderAddress, type SocketAddress } from '@weft/model'
import type { Socket, Transport } from '@weft/net'

export interface AppProbeOptions {
  readonly targets: readonly SocketAddress[]
  readonly intervalMs: number
  readonly timeoutMs: number
}

export interface AppProbeDeps {
  readonly transport: Transport
  readonly clock: Clock
  /** Called on the first answer and on every change. */
  readonly onHealth: (healthy: boolean, message: string) => void
}

const FAILURES_TO_UNHEALTHY = 3
/** While nothing answers: an application that starts must not wait for a whole interval. */
const EAGER_INTERVAL_MS = 100

/** Starts probing. The returned function stops it. */
export function startAppProbe(options: AppProbeOptions, deps: AppProbeDeps): () => void {
  const { targets, intervalMs, timeoutMs } = options
  const { clock, onHealth } = deps
  let stopped = false
  let reported: boolean | undefined
  let failures = 0
  let cancelNext: (() => void) | undefined

  const report = (healthy: boolean, message: string) => {
    if (reported === healthy) return
    reported = healthy
    onHealth(healthy, message)
  }

  const round = async () => {
    const problems = await Promise.all(
      targets.map((target) => connectProblem(target, timeoutMs, deps)),
    )
    if (stopped) return
    const problem = problems.find((text) => text !== undefined)
    failures = problem === undefined ? 0 : failures + 1
    if (problem === undefined) report(true, '')
    // Before the first success one failure says enough: nothing is sent there anyway.
    else if (reported === undefined || failures >= FAILURES_TO_UNHEALTHY) report(false, problem)
    const delayMs = problem === undefined ? intervalMs : Math.min(intervalMs, EAGER_INTERVAL_MS)
    cancelNext = clock.after(delayMs, () => void round())
  }

  void round()
  return () => {
    stopped = true
    cancelNext?.()
  }
}

/** Why a connection could not be made; `undefined` when it could. */
function connectProblem(
  target: SocketAddress,
  timeoutMs: number,
  { transport, clock }: Pick<AppProbeDeps, 'transport' | 'clock'>,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const name = renderAddress(target)
    let socket: Socket | undefined
    const finish = (problem: string | undefined) => {
      cancelTimeout()
      resolve(problem)
      socket?.close()
    }
    const cancelTimeout = clock.after(timeoutMs, () =>
      finish(`${name} does not answer within ${timeoutMs} ms`),
    )
    socket = transport.connect(target, {
      onOpen: () => finish(undefined),
      onData() {},
      onEnd() {},
      onDrain() {},
      onClose: (error) => finish(`${name} refuses connections: ${error?.message ?? 'closed'}`),
    })
  })
}

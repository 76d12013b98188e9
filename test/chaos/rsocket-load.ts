/**
 * Callers that ask all the time, and responders that count. Every request says for whom it is and whose
 * it is, so that a wrong delivery shows at either end; at the end what was executed is held against
 * what the callers were told.
 */
import { setTimeout } from 'node:timers/promises'
import { type Methods, type RSocketClient, RSocketError } from '@weft/rsocket'

const TICK_MS = 10
/** A machine that is slow has more of them under way; beyond this it is asked less. */
const MAX_UNDER_WAY = 256
/** Every so many requests one takes as long as this, so that faults find requests under way. */
const SLOW_EVERY = 10
const SLOW_MS = 120

interface Failure {
  readonly id: string
  readonly service: string
  readonly isIdempotent: boolean
  readonly sentMs: number
  readonly endedMs: number
  readonly error: RSocketError
}

export interface Tally {
  asked: number
  answered: number
  readonly failures: Failure[]
  /** Answers to other requests than the one that was asked. */
  readonly wrong: string[]
}

/** What responders have run, by the id of the request. */
export class Executions {
  readonly runs = new Map<string, number>()
  /** Requests that came to somebody for whom they are not. */
  readonly strays: string[] = []

  /** @param who Is said in every answer. */
  methods(service: string, who: string): Methods {
    const run = (text: string): string => {
      const [wanted = '', id = ''] = text.split(' ')
      if (wanted !== service) this.strays.push(`${text} at ${service} of ${who}`)
      this.runs.set(id, (this.runs.get(id) ?? 0) + 1)
      return `${text} by ${who}`
    }
    return {
      run: (request) => run(request.text()),
      async slow(request) {
        const answer = run(request.text())
        await setTimeout(SLOW_MS)
        return answer
      },
      /** Longer than anybody should have to wait to hear that its broker is dead. */
      async never(request) {
        run(request.text())
        await new Promise((resolve) => request.signal.addEventListener('abort', resolve))
        return 'nobody waits'
      },
    }
  }
}

export interface Load extends AsyncDisposable {
  readonly tally: Tally
  /** Resolves after so many more answers; rejects when they do not come. */
  answers(count: number, limitMs?: number): Promise<void>
  /** Asks no more; resolves when every request has its answer or its error. */
  stop(): Promise<Tally>
}

export interface LoadOptions {
  readonly callers: readonly RSocketClient[]
  readonly services: readonly string[]
  /** Of all callers together, whatever the answers take (an open loop). */
  readonly perSecond: number
}

let loads = 0

export function startLoad({ callers, services, perSecond }: LoadOptions): Load {
  const tally: Tally = { asked: 0, answered: 0, failures: [], wrong: [] }
  const name = `load${++loads}`
  const underWay = new Set<Promise<void>>()
  let isRunning = true
  const ask = async (number: number): Promise<void> => {
    const at = number % callers.length
    const caller = callers[at]
    const service = services[number % services.length] ?? ''
    if (caller === undefined) return
    const id = `${name}-caller${at}-${number}`
    const text = `${service} ${id}`
    const isIdempotent = isRepeatable(id)
    const method = number % SLOW_EVERY === 9 ? 'slow' : 'run'
    const sentMs = performance.now()
    tally.asked++
    try {
      const answer = await caller.requestResponse(service, method, text, {
        idempotent: isIdempotent,
      })
      if (!answer.text().startsWith(`${text} by `)) tally.wrong.push(`${text}: ${answer.text()}`)
      tally.answered++
    } catch (error) {
      if (!(error instanceof RSocketError)) throw error
      tally.failures.push({ id, service, isIdempotent, sentMs, endedMs: performance.now(), error })
    }
  }
  const loop = async (): Promise<void> => {
    const startMs = performance.now()
    let skipped = 0
    for (let sent = 0; isRunning; await setTimeout(TICK_MS)) {
      const due = Math.floor(((performance.now() - startMs) * perSecond) / 1_000) - skipped
      for (; sent < due; sent++) {
        if (underWay.size >= MAX_UNDER_WAY) {
          skipped += due - sent
          break
        }
        const one = ask(sent).finally(() => underWay.delete(one))
        underWay.add(one)
      }
    }
    await Promise.all(underWay)
  }
  const running = loop()
  const stop = async (): Promise<Tally> => {
    isRunning = false
    await running
    return tally
  }
  return {
    tally,
    async answers(count, limitMs = 15_000) {
      const goal = tally.answered + count
      const untilMs = performance.now() + limitMs
      while (tally.answered < goal) {
        if (performance.now() > untilMs) {
          throw new Error(`only ${tally.answered} of ${goal} answers: ${renderTally(tally)}`)
        }
        await setTimeout(TICK_MS)
      }
    },
    stop,
    [Symbol.asyncDispose]: async () => void (await stop()),
  }
}

/** Whether the request with this id may run twice; in no step with callers and services. */
export function isRepeatable(id: string): boolean {
  return Number(id.split('-').at(-1)) % 7 < 3
}

/** What no fault allows: each line is a broken promise, with its request. */
export function broken(tally: Tally, { runs, strays }: Executions): readonly string[] {
  const failed = new Map(tally.failures.map((failure) => [failure.id, failure]))
  const twice = [...runs].filter(([id, count]) => count > 1 && !isRepeatable(id))
  const untrue = [...failed.values()].filter(
    // It was said that nobody had processed it.
    ({ id, error, isIdempotent }) => !isIdempotent && error.retrySafe && runs.has(id),
  )
  return [
    ...tally.wrong.map((each) => `wrong answer: ${each}`),
    ...strays.map((each) => `wrong responder: ${each}`),
    ...twice.map(([id, count]) => `executed ${count} times: ${id}`),
    ...untrue.map(({ id, error }) => `executed, and said not to be: ${id}: ${error.message}`),
  ]
}

export function renderTally({ asked, answered, failures }: Tally): string {
  const why = new Map<string, number>()
  for (const { error } of failures) {
    const text = `${error.codeName ?? error.code} ${error.message}`.slice(0, 80)
    why.set(text, (why.get(text) ?? 0) + 1)
  }
  const lines = [...why].map(([text, count]) => `${text} ×${count}`)
  const counts = `${answered.toLocaleString('en')} of ${asked.toLocaleString('en')}`
  return lines.length === 0 ? counts : `${counts} (${lines.join('; ')})`
}

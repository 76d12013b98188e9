/** Sends requests all the time and checks every answer: whose it is, and what arrived. */
import { createHash } from 'node:crypto'
import { Agent, request } from 'node:http'

export interface Tally {
  sent: number
  ok: number
  /** Requests that may be repeated and were answered with 5xx. */
  refused: number
  /** POSTs answered with 5xx: it is said that nobody knows, once. */
  refusedPosts: number
  /** No answer, or half of one. */
  lost: number
  /** An idle connection was closed as it was used again, before a byte: sent again, as RFC 9112 §9.3.1 has it. */
  races: number
  /** Somebody else's answer, or another body than was sent. */
  wrong: number
  readonly errors: Map<string, number>
}

export interface Client extends AsyncDisposable {
  readonly tally: Tally
  /** Resolves after so many more good answers. */
  answers(count: number): Promise<void>
  /** Stops sending; resolves when nothing is under way. */
  stop(): Promise<Tally>
}

const PAUSE_MS = 2
/** Longer than any timeout of a proxy's; an answer that is missing is lost, not waited for. */
const ANSWER_MS = 20_000
/** An open loop looks this often at what is due. */
const TICK_MS = 10
const BODIES = [Buffer.alloc(0), Buffer.alloc(100, 'a'), Buffer.alloc(20_000, 'b')]

export function startClient(
  port: number,
  options: {
    readonly connections?: number
    readonly host?: string
    /** So many requests a second, whatever the answers take (an open loop). */
    readonly perSecond?: number
    /**
     * What an open loop may go down to where the machine cannot do more: half as many a second when
     * answers are late or 5xx, and slowly back. Absent: it never does.
     */
    readonly floorPerSecond?: number
  } = {},
): Client {
  const { connections = 16, host = 'app', perSecond, floorPerSecond = perSecond } = options
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const tally: Tally = {
    sent: 0,
    ok: 0,
    refused: 0,
    refusedPosts: 0,
    lost: 0,
    races: 0,
    wrong: 0,
    errors: new Map(),
  }
  const waiting = new Set<() => void>()
  let isRunning = true
  const send = async (worker: number, i: number): Promise<void> => {
    const isPost = i % 4 === 3
    const body = isPost ? (BODIES[i % BODIES.length] ?? BODIES[0]) : undefined
    const id = `${port}-${worker}-${i}`
    tally.sent++
    let outcome = await exchange(agent, { port, host, id, body })
    if (outcome.kind === 'race' && !isPost) {
      tally.races++
      outcome = await exchange(agent, { port, host, id, body })
    }
    record(tally, outcome, isPost)
    for (const check of waiting) check()
  }
  const loop = async (worker: number): Promise<void> => {
    for (let i = 0; isRunning; i++) {
      await send(worker, i)
      await pause(PAUSE_MS)
    }
  }
  const openLoop = async (rate: number): Promise<void> => {
    const pace = startPace(rate, floorPerSecond ?? rate)
    const running = new Set<Promise<void>>()
    for (let i = 0; isRunning; await pause(TICK_MS)) {
      pace.look(running.size, tally.refused + tally.refusedPosts + tally.lost)
      for (const due = pace.due(); i < due; i++) {
        const one = send(0, i).finally(() => running.delete(one))
        running.add(one)
      }
    }
    await Promise.all(running)
  }
  const loops =
    perSecond === undefined
      ? Promise.all(Array.from({ length: connections }, (_, i) => loop(i)))
      : openLoop(perSecond)
  const stop = async (): Promise<Tally> => {
    isRunning = false
    await loops
    agent.destroy()
    return tally
  }
  return {
    tally,
    stop,
    answers(count) {
      const goal = tally.ok + count
      return new Promise((resolve, reject) => {
        const limit = setTimeout(() => {
          waiting.delete(check)
          reject(new Error(`Only ${tally.ok} of ${goal} answers came: ${renderTally(tally)}`))
        }, 30_000)
        const check = () => {
          if (tally.ok < goal) return
          waiting.delete(check)
          clearTimeout(limit)
          resolve()
        }
        waiting.add(check)
      })
    },
    [Symbol.asyncDispose]: async () => void (await stop()),
  }
}

/** So many answers may be awaited at once: more would be late because of us. */
const MAX_AWAITED = 64
const EASE_EVERY_MS = 1_000
/** Of the full rate, a second. */
const RECOVERY = 0.05

/** How many requests are due by now, at a rate that follows what comes back. */
function startPace(full: number, floor: number) {
  let rate = full
  let due = 0
  let failures = 0
  let lookedMs = performance.now()
  let easedMs = Number.NEGATIVE_INFINITY
  return {
    look(awaited: number, failed: number): void {
      const nowMs = performance.now()
      const seconds = (nowMs - lookedMs) / 1_000
      lookedMs = nowMs
      // What was not sent while this process had no turn is not made up for, unless nothing eases.
      due += rate * (floor === full ? seconds : Math.min(seconds, EASE_EVERY_MS / 1_000))
      const isLate = awaited > MAX_AWAITED || failed > failures
      failures = failed
      if (isLate && nowMs - easedMs >= EASE_EVERY_MS) {
        easedMs = nowMs
        rate = Math.max(floor, rate / 2)
      } else if (!isLate) rate = Math.min(full, rate + full * RECOVERY * seconds)
    },
    due: () => due,
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

export function renderTally({
  sent,
  ok,
  refused,
  refusedPosts,
  lost,
  races,
  wrong,
  errors,
}: Tally): string {
  const why = [...errors].map(([error, count]) => `${error} ×${count}`).join(', ')
  const counts = `${sent} sent, ${ok} ok, ${refused} refused with 5xx (and ${refusedPosts} POSTs), ${lost} lost, ${races} closed before a byte, ${wrong} wrong`
  return why === '' ? counts : `${counts} (${why})`
}

export type Outcome =
  | { readonly kind: 'ok' | 'wrong' }
  | { readonly kind: 'refused' | 'lost' | 'race'; readonly why: string }

const RACING = new Agent({ keepAlive: true })

/** One request on a connection of its own agent; nothing is sent again. */
export function sendOnce(
  port: number,
  { id, body }: { readonly id: string; readonly body: Buffer | undefined },
): Promise<Outcome> {
  return exchange(RACING, { port, host: 'app', id, body })
}

interface Call {
  readonly port: number
  readonly host: string
  readonly id: string
  readonly body: Buffer | undefined
}

function exchange(agent: Agent, { port, host, id, body }: Call) {
  return new Promise<Outcome>((resolve) => {
    const method = body === undefined ? 'GET' : 'POST'
    const headers = { host, 'x-id': id, ...(body && { 'content-length': body.length }) }
    let hasAnswer = false
    const call = request({ agent, host: '127.0.0.1', port, method, headers }, (response) => {
      hasAnswer = true
      let text = ''
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
      response.once('error', () => undefined)
      response.once('close', () => {
        if (!response.complete) resolve({ kind: 'lost', why: 'cut in the middle of an answer' })
        else resolve(judge(response.statusCode ?? 0, text, id, body))
      })
    })
    call.setTimeout(ANSWER_MS, () => call.destroy(new Error('no answer')))
    call.once('error', (error: NodeJS.ErrnoException) => {
      const isRace = call.reusedSocket && !hasAnswer && error.code === 'ECONNRESET'
      resolve({ kind: isRace ? 'race' : 'lost', why: error.code ?? error.message })
    })
    call.end(body)
  })
}

function judge(status: number, text: string, id: string, body: Buffer | undefined): Outcome {
  if (status >= 500) return { kind: 'refused', why: String(status) }
  const hash = createHash('sha256')
    .update(body ?? '')
    .digest('hex')
  try {
    const answer = JSON.parse(text) as { id?: string; hash?: string }
    return { kind: status === 200 && answer.id === id && answer.hash === hash ? 'ok' : 'wrong' }
  } catch {
    return { kind: 'wrong' }
  }
}

function record(tally: Tally, outcome: Outcome, isPost: boolean): void {
  if (outcome.kind === 'ok') tally.ok++
  else if (outcome.kind === 'wrong') tally.wrong++
  else if (outcome.kind === 'refused') tally[isPost ? 'refusedPosts' : 'refused']++
  else tally.lost++
  if ('why' in outcome) tally.errors.set(outcome.why, (tally.errors.get(outcome.why) ?? 0) + 1)
}

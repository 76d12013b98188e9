/**
 * Tokens of global limits in a Redis, for control planes that count together and for counts that
 * outlive a restart. One script draws from all buckets of a question at once; Redis' own clock
 * fills them, so clocks of control planes need not agree.
 *
 *     key    weft:rate-limit:{<domain>}:<hash of the limit and of what is counted>
 *     value  hash of t (tokens) and at (milliseconds); gone when the bucket is full again
 *
 * A Redis that is away, slow or wrong stops nobody: each control plane counts by itself until it
 * is back.
 */
import { createHash } from 'node:crypto'
import type { Clock, Logger } from '@weft/base'
import { type Draw, type Drawn, type HitCounts, MemoryCounts } from './hit-counts.ts'

export interface RedisOptions {
  /** `redis[s]://[user[:password]@]host[:port][/database]`. */
  readonly url: string
  /** In place of the one in the URL. */
  readonly password?: string
}

export interface RedisCountsDeps {
  readonly clock: Clock
  readonly log: Logger
  /** A question was not answered by Redis. */
  onFailure(): void
}

/** Proxies wait 500 ms for the whole question. */
const ANSWER_TIMEOUT_MS = 200
/** Who did not answer is left alone so long. */
const REST_MS = 1_000
const CONNECT_TIMEOUT_MS = 2_000
const MAX_RECONNECT_MS = 2_000
/** Numbers of each bucket that the script gets and returns. */
const RETURNED = 3

/**
 * For each key: how many tokens it holds at most, how many come a millisecond, how many are wanted.
 * A key that is named twice is one bucket. Returns per key: 1 when it had too few, whole tokens,
 * milliseconds until there is one.
 */
const SCRIPT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local gives = ARGV[1] == 'give'
local have, over, short = {}, {}, false
for i, key in ipairs(KEYS) do
  local max, rate, hits = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  if have[key] == nil then
    local kept = redis.call('HMGET', key, 't', 'at')
    local tokens, at = tonumber(kept[1]) or max, tonumber(kept[2]) or now
    have[key] = math.min(max, tokens + math.max(0, now - at) * rate)
  end
  over[i] = math.floor(have[key] + 1e-6) < hits
  short = short or over[i]
end
local result = {}
for i, key in ipairs(KEYS) do
  local max, rate, hits = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  if gives then have[key] = math.min(max, have[key] + hits)
  elseif not short then have[key] = have[key] - hits end
  if gives or not short then
    redis.call('HSET', key, 't', string.format('%.9f', have[key]), 'at', string.format('%.0f', now))
    redis.call('PEXPIRE', key, math.ceil((max - have[key]) / rate) + 1000)
  end
  local reset = 0
  if have[key] < 1 then reset = math.ceil((1 - have[key]) / rate) end
  table.insert(result, over[i] and 1 or 0)
  table.insert(result, math.max(0, math.floor(have[key] + 1e-6)))
  table.insert(result, reset)
end
return result
`
const DIGEST = createHash('sha1').update(SCRIPT).digest('hex')

/** What is used of a client. */
interface RedisClient {
  readonly isReady: boolean
  sendCommand(command: readonly string[]): Promise<unknown>
  destroy(): void
}

export class RedisCounts implements HitCounts {
  readonly #deps: RedisCountsDeps
  readonly #local = new MemoryCounts()
  #client: RedisClient | undefined
  #restsUntilMs = 0
  #isUp = false
  #isClosed = false

  private constructor(deps: RedisCountsDeps) {
    this.#deps = deps
  }

  /**
   * Does not wait for Redis: until it answers, this control plane counts by itself.
   *
   * @throws {TypeError} On a URL that is none.
   */
  static async open(options: RedisOptions, deps: RedisCountsDeps): Promise<RedisCounts> {
    const counts = new RedisCounts(deps)
    // Loaded by those who have a Redis only; a bundle has it as the default alone.
    const { default: redis } = await import('@redis/client')
    const client = redis.createClient({
      url: options.url,
      ...(options.password === undefined ? {} : { password: options.password }),
      name: 'weft-control',
      // What cannot be asked now is counted here.
      disableOfflineQueue: true,
      socket: {
        connectTimeout: CONNECT_TIMEOUT_MS,
        reconnectStrategy: (retries) => Math.min(MAX_RECONNECT_MS, 50 * 2 ** retries),
      },
    })
    client.on('ready', () => counts.#turned(true, ''))
    client.on('error', (error: Error) => counts.#turned(false, error.message))
    counts.#client = client
    client.connect().catch((error: unknown) => counts.#turned(false, String(error)))
    return counts
  }

  /** Whether Redis answered last. */
  get isUp(): boolean {
    return this.#isUp
  }

  async draw(draws: readonly Draw[], nowMs: number): Promise<readonly Drawn[]> {
    const answer = await this.#ask('draw', draws)
    return answer ?? this.#local.draw(draws, nowMs)
  }

  async giveBack(draws: readonly Draw[], nowMs: number): Promise<void> {
    const answer = await this.#ask('give', draws)
    if (answer === undefined) await this.#local.giveBack(draws, nowMs)
  }

  close(): void {
    this.#isClosed = true
    this.#client?.destroy()
  }

  /** `undefined`: Redis did not answer. */
  async #ask(what: 'draw' | 'give', draws: readonly Draw[]): Promise<readonly Drawn[] | undefined> {
    if (draws.length === 0) return []
    const { clock, onFailure } = this.#deps
    const client = this.#client
    if (client?.isReady !== true || clock.monotonicMs() < this.#restsUntilMs) {
      onFailure()
      return undefined
    }
    try {
      const answer = await this.#inTime(this.#run(client, what, draws))
      const drawn = readAnswer(answer, draws.length)
      this.#turned(true, '')
      return drawn
    } catch (error) {
      this.#restsUntilMs = clock.monotonicMs() + REST_MS
      onFailure()
      this.#turned(false, error instanceof Error ? error.message : String(error))
      return undefined
    }
  }

  /** The script by its digest; its text only where Redis does not know it. */
  async #run(client: RedisClient, what: string, draws: readonly Draw[]): Promise<unknown> {
    const rest = [String(draws.length), ...draws.map(({ key }) => key), what, ...numbersOf(draws)]
    try {
      return await client.sendCommand(['EVALSHA', DIGEST, ...rest])
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
      return client.sendCommand(['EVAL', SCRIPT, ...rest])
    }
  }

  #inTime(asked: Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const cancel = this.#deps.clock.after(ANSWER_TIMEOUT_MS, () =>
        reject(new Error(`no answer within ${ANSWER_TIMEOUT_MS} ms`)),
      )
      asked.finally(cancel).then(resolve, reject)
    })
  }

  /** Told once for each change. */
  #turned(isUp: boolean, why: string): void {
    if (this.#isClosed || (isUp === this.#isUp && isUp)) return
    const { log } = this.#deps
    if (isUp) log.info('global rate limits are counted in Redis')
    else if (this.#isUp || !this.#isTold) {
      log.error('Redis does not count global rate limits: this control plane does alone', { why })
      this.#isTold = true
    }
    this.#isUp = isUp
  }

  /** Also who never was up is told of once. */
  #isTold = false
}

function numbersOf(draws: readonly Draw[]): readonly string[] {
  return draws.flatMap(({ bucket, hits }) => [
    String(bucket.maxTokens),
    String(bucket.tokensPerFill / bucket.fillIntervalMs),
    String(hits),
  ])
}

function readAnswer(answer: unknown, count: number): readonly Drawn[] {
  if (!Array.isArray(answer) || answer.length !== RETURNED * count) {
    throw new Error('the answer is not what the script returns')
  }
  return Array.from({ length: count }, (_, index) => {
    const [over, remaining, resetMs] = answer.slice(RETURNED * index).map(Number)
    return { overLimit: over === 1, remaining: remaining ?? 0, resetMs: resetMs ?? 0 }
  })
}

/** Domain in braces: buckets of one question are in one slot of a Redis Cluster. */
export function redisKey(domain: string, what: string): string {
  const hash = createHash('sha256').update(what).digest('base64url')
  return `weft:rate-limit:{${domain}}:${hash}`
}

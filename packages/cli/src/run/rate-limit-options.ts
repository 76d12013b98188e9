/** Options of `weft control` about global rate limits → what the control plane takes. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { ControlPlaneOptions } from '@weft/control'
import type { Arguments } from '../arguments.ts'
import { type Option, UsageError } from '../command.ts'
import type { Terminal } from '../terminal/terminal.ts'

export const RATE_LIMIT_OPTIONS = {
  'rate-limit-redis': {
    kind: 'value',
    placeholder: 'URL',
    describe: 'count global rate limits in a Redis: redis[s]://[user@]host[:port][/database]',
  },
  'rate-limit-redis-password-file': {
    kind: 'value',
    placeholder: 'FILE',
    describe: 'its password (or WEFT_RATE_LIMIT_REDIS_PASSWORD)',
  },
} as const satisfies Record<string, Option>

/** @throws {UsageError} When the URL is none of a Redis, or the file cannot be read. */
export async function rateLimitOptionsOf(
  args: Arguments,
  terminal: Terminal,
): Promise<Pick<ControlPlaneOptions, 'rateLimitRedis'>> {
  const url = args.value('rate-limit-redis')
  const password = await passwordOf(args, terminal)
  if (url === undefined) {
    if (args.value('rate-limit-redis-password-file') === undefined) return {}
    throw new UsageError('--rate-limit-redis-password-file needs --rate-limit-redis')
  }
  const scheme = URL.parse(url)?.protocol
  if (scheme !== 'redis:' && scheme !== 'rediss:') {
    throw new UsageError(
      `--rate-limit-redis must be redis://… or rediss://…, got '${withoutPassword(url)}'`,
    )
  }
  return { rateLimitRedis: { url, ...(password === undefined ? {} : { password }) } }
}

/** A file's one line end is not part of it. */
async function passwordOf(args: Arguments, terminal: Terminal): Promise<string | undefined> {
  const file = args.value('rate-limit-redis-password-file')
  if (file === undefined) return terminal.env.WEFT_RATE_LIMIT_REDIS_PASSWORD
  try {
    return (await readFile(resolve(terminal.cwd, file), 'utf8')).replace(/\r?\n$/, '')
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    const problem = `--rate-limit-redis-password-file: cannot read ${file}: ${why}`
    throw new UsageError(problem, 'unreadable', { cause })
  }
}

/** Messages end up in logs. */
function withoutPassword(url: string): string {
  return url.replace(/:[^:@/]*@/, ':…@')
}

/**
 * Structured log lines. A logger belongs to a component; levels are set per
 * component at run time (`/logging` on the admin port). Off levels cost one map
 * lookup: fields are an object the caller builds only behind `enabled`, or
 * cheaply.
 */

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'off'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]
export type LogFields = Readonly<Record<string, unknown>>

export interface Logger {
  enabled(level: LogLevel): boolean
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}

/** All loggers of a process: one sink, a level per component. */
export class LogScopes {
  readonly #write: (line: string) => void
  readonly #nowMs: () => number
  readonly #levels = new Map<string, LogLevel>()
  #default: LogLevel

  /** @param write Takes one line without its line end, e.g. to standard error. */
  constructor(write: (line: string) => void, nowMs: () => number, level: LogLevel = 'info') {
    this.#write = write
    this.#nowMs = nowMs
    this.#default = level
  }

  logger(component: string): Logger {
    if (!this.#levels.has(component)) this.#levels.set(component, this.#default)
    const enabled = (level: LogLevel) => rank(level) >= rank(this.#levels.get(component) ?? 'info')
    const log = (level: LogLevel, message: string, fields?: LogFields) => {
      if (!enabled(level)) return
      const time = new Date(this.#nowMs()).toISOString()
      this.#write(renderLine({ time, level, component, message }, fields))
    }
    return {
      enabled,
      debug: (message, fields) => log('debug', message, fields),
      info: (message, fields) => log('info', message, fields),
      warn: (message, fields) => log('warn', message, fields),
      error: (message, fields) => log('error', message, fields),
    }
  }

  /** The level of every component that has logged or was set. */
  levels(): ReadonlyMap<string, LogLevel> {
    return this.#levels
  }

  /** Sets one component's level, or every component's when `component` is undefined. */
  setLevel(level: LogLevel, component?: string): void {
    if (component !== undefined) {
      this.#levels.set(component, level)
      return
    }
    this.#default = level
    for (const known of this.#levels.keys()) this.#levels.set(known, level)
  }
}

/** Swallows everything; for tests and for code that was given no logger. */
export const silentLogger: Logger = {
  enabled: () => false,
  debug() {},
  info() {},
  warn() {},
  error() {},
}

function rank(level: LogLevel): number {
  return LOG_LEVELS.indexOf(level)
}

/** Never throws: a log line is written where something went wrong already. */
function renderLine(head: LogFields, fields: LogFields | undefined): string {
  try {
    return JSON.stringify({ ...head, ...fields }, renderField)
  } catch (error) {
    // A cycle, or a `toJSON` that throws.
    return JSON.stringify({ ...head, fields: `cannot be written: ${renderError(error)}` })
  }
}

function renderField(_key: string, value: unknown): unknown {
  if (value instanceof Error) return renderError(value)
  return typeof value === 'bigint' ? String(value) : value
}

const MAX_CAUSES = 5

/** The message and those of its causes: the innermost one is often the only one that explains. */
function renderError(error: unknown): string {
  const messages: string[] = []
  let at = error
  while (at instanceof Error && messages.length < MAX_CAUSES) {
    messages.push(at.message)
    at = at.cause
  }
  return messages.join(': ')
}

/**
 * Structured log lines. A logger belongs to a component; levels are set per
 * component at run time (`/logging` on the admin port). Off levels cost one
 * comparison: fields are an object the caller builds only behind `enabled`, or
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
      this.#write(JSON.stringify({ time, level, component, message, ...fields }, renderError))
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

function renderError(_key: string, value: unknown): unknown {
  return value instanceof Error ? value.message : value
}

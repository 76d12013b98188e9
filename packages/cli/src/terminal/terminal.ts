/**
 * Everything a command may touch of the process it runs in, as one value: a test
 * runs a command without a process. The only file of this package that reads
 * `process` is `main.ts`, which builds the real one.
 */
import type { Clock } from '@weft/base'
import type { Style } from './style.ts'

export interface Terminal {
  /** Writes to standard output as it is; commands end their own lines. */
  out(text: string): void
  /** Writes to standard error. */
  err(text: string): void
  /** True when standard output is a terminal that can redraw. */
  readonly isInteractive: boolean
  /** Width and height in characters; 80 by 24 when it is not a terminal. */
  size(): { readonly columns: number; readonly rows: number }
  /** Colours and weight; does nothing where they are not wanted (no TTY, NO_COLOR). */
  readonly style: Style
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly random: () => number
  /** The whole of standard input. */
  readStdin(): Promise<string>
  /**
   * Calls `onSignal` instead of ending the process, for SIGINT, SIGTERM, SIGHUP and
   * for the end of the process that started this one. Returns a function that
   * puts things back.
   */
  onSignals(onSignal: (signal: NodeJS.Signals) => void): () => void
}

/**
 * Resolves at the first signal with its name. A second signal calls `hurry`: whoever
 * presses Ctrl-C twice means it.
 */
export function firstSignal(terminal: Terminal, hurry: () => void): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let seen = false
    terminal.onSignals((signal) => {
      if (seen) hurry()
      seen = true
      resolve(signal)
    })
  })
}

/** What to type for weft here: npm runs a project's own, which is not in everybody's PATH. */
export function howToCallWeft(env: Terminal['env']): string {
  return env.npm_command === undefined ? 'weft' : 'npx weft'
}

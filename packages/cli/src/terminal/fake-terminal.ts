/** A terminal without a process, for tests: what was written can be read. */
import { realClock } from '@weft/base'
import { plainStyle } from './style.ts'
import type { Terminal } from './terminal.ts'

export interface FakeTerminal extends Terminal {
  readonly output: () => string
  readonly errors: () => string
  /** Plays a signal. */
  readonly raise: (signal: NodeJS.Signals) => void
}

export function fakeTerminal(overrides: Partial<Terminal> & { stdin?: string } = {}): FakeTerminal {
  let output = ''
  let errors = ''
  const handlers = new Set<(signal: NodeJS.Signals) => void>()
  return {
    out: (text) => {
      output += text
    },
    err: (text) => {
      errors += text
    },
    isInteractive: false,
    size: () => ({ columns: 80, rows: 24 }),
    style: plainStyle,
    cwd: '/',
    env: {},
    clock: realClock,
    random: () => 0.5,
    readStdin: async () => overrides.stdin ?? '',
    onSignals(onSignal) {
      handlers.add(onSignal)
      return () => handlers.delete(onSignal)
    },
    ...overrides,
    output: () => output,
    errors: () => errors,
    raise: (signal) => {
      for (const handler of handlers) handler(signal)
    },
  }
}

/**
 * The edge of the process: reads `process`, builds the terminal, runs one
 * command, sets the exit code. `bin/weft.js` calls `main` once.
 */
import { realClock } from '@weft/base'
import { SUCCESSOR } from './run/successor.ts'
import { WORKER } from './run/worker-environment.ts'
import { colourStyle, plainStyle, wantsColour } from './terminal/style.ts'
import type { Terminal } from './terminal/terminal.ts'

const NPM_WATCH_MS = 500
const STOPPING: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP']

export async function main(): Promise<void> {
  if (process.env[WORKER] !== undefined) {
    const { runWorkerProcess } = await import('./run/workers.ts')
    runWorkerProcess()
    return
  }
  endWithReader()
  const terminal = processTerminal()
  watchParent()
  // Not for a worker, which has no commands.
  const { dispatch } = await import('./dispatch.ts')
  const exitCode = await dispatch(process.argv.slice(2), terminal)
  await flushed(process.stdout)
  await flushed(process.stderr)
  process.exit(exitCode)
}

function processTerminal(): Terminal {
  const { stdout, stderr, stdin, env } = process
  return {
    out: (text) => void stdout.write(text),
    err: (text) => void stderr.write(text),
    isInteractive: stdout.isTTY === true && env.TERM !== 'dumb',
    size: () => ({ columns: stdout.columns ?? 80, rows: stdout.rows ?? 24 }),
    style: wantsColour(stdout.isTTY === true, env) ? colourStyle : plainStyle,
    cwd: process.cwd(),
    env,
    clock: realClock,
    random: Math.random,
    async readStdin() {
      const chunks: Buffer[] = []
      for await (const chunk of stdin) chunks.push(chunk)
      return Buffer.concat(chunks).toString('utf8')
    },
    onSignals(onSignal) {
      for (const signal of STOPPING) process.on(signal, onSignal)
      return () => {
        for (const signal of STOPPING) process.off(signal, onSignal)
      }
    },
  }
}

/**
 * A process that was started with a channel belongs to whoever holds the other
 * end (`bin/weft.js`, `weft demo`): when that ends, however it ends, so does this.
 * One that npm started ends with npm, which dies of a signal without passing it on.
 */
function watchParent(): void {
  // A successor outlives the process that started it, and so its channel.
  if (process.env[SUCCESSOR] !== undefined) return
  if (process.env.npm_command !== undefined) watchNpm(process.ppid)
  if (process.channel === undefined) return
  process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'))
  process.channel.unref()
}

function watchNpm(npmPid: number): void {
  const timer = setInterval(() => {
    if (process.ppid === npmPid) return
    clearInterval(timer)
    process.kill(process.pid, 'SIGTERM')
  }, NPM_WATCH_MS)
  timer.unref()
}

/** `weft … | head` closes the pipe early; that is not an error. */
function endWithReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? 0 : 1)
  })
}

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write('', () => resolve()))
}

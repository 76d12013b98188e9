/**
 * One `weft` process that the demo started. It holds a channel to the demo, so
 * that it notices when the demo ends, however it ends; it has a process group
 * of its own, so that Ctrl-C reaches the demo alone and its end has an order.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { BIN } from '../program-files.ts'
import { type ReadyReport, readyReportOf } from '../run/report-ready.ts'

export interface WeftProcess {
  readonly name: string
  readonly pid: number
  /** Its ports; rejects when the process ends before it is up. */
  readonly ready: Promise<ReadyReport>
  /** Resolves with what ended it. */
  readonly exited: Promise<string>
  /** Asks it to end; whoever is not gone after `graceMs` is killed with its group. */
  stop(graceMs: number): Promise<void>
  /** Kills it and everything it started, at once. */
  kill(): void
}

export interface WeftProcessOptions {
  readonly name: string
  readonly args: readonly string[]
  /** Takes what the process and its children print. */
  readonly logFile: string
  readonly env: Readonly<Record<string, string | undefined>>
}

export function startWeft({ name, args, logFile, env }: WeftProcessOptions): WeftProcess {
  const log = openSync(logFile, 'a')
  // The flags that this process runs with, so that no second start is needed to set them.
  const child = spawn(process.execPath, [...process.execArgv, BIN, ...args], {
    stdio: ['ignore', log, log, 'ipc'],
    detached: true,
    env,
  })
  closeSync(log)
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) =>
      resolve(signal === null ? `exit code ${code}` : `signal ${signal}`),
    )
  })
  const kill = () => killGroup(child)
  return {
    name,
    pid: child.pid ?? 0,
    ready: readyOf(child, name, exited, logFile),
    exited,
    kill,
    async stop(graceMs) {
      if (isGone(child)) return
      child.kill('SIGTERM')
      const timer = setTimeout(kill, graceMs)
      await exited
      clearTimeout(timer)
      // What it started ends with it; this is for what did not get the news.
      kill()
    },
  }
}

function readyOf(
  child: ChildProcess,
  name: string,
  exited: Promise<string>,
  logFile: string,
): Promise<ReadyReport> {
  const ready = new Promise<ReadyReport>((resolve, reject) => {
    child.on('message', (message) => {
      const report = readyReportOf(message)
      if (report !== undefined) resolve(report)
    })
    void exited.then((how) =>
      reject(new Error(`${name} ended before it was up (${how})\n${tailOf(logFile)}`)),
    )
  })
  // Whoever does not wait for it does not want to hear of it either.
  ready.catch(() => undefined)
  return ready
}

/** The last lines it printed: why it ended is in there. */
export function tailOf(logFile: string): string {
  try {
    return readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-12).join('\n')
  } catch {
    return ''
  }
}

function isGone(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // ESRCH: the whole group is gone, which is what was asked for.
  }
}

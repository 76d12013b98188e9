/** Workers as processes: how a supervisor starts one, and what such a process does. */
import { type SendHandle, spawn } from 'node:child_process'
import { LogScopes, realClock } from '@weft/base'
import {
  type FromWorker,
  runWorker,
  type ToWorker,
  type WorkerEvents,
  type WorkerProcess,
} from '@weft/proxy'
import { WORKER } from './worker-environment.ts'

/** The same program; what it is to do comes by the channel. */
export function spawnWorker(index: number, events: WorkerEvents): WorkerProcess {
  const [, program = ''] = process.argv
  const args = [...process.execArgv, program, 'proxy', `(worker ${index})`]
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
    env: { ...process.env, [WORKER]: String(index) },
  })
  let isGone = false
  const gone = (how: string) => {
    if (isGone) return
    isGone = true
    events.onExit(how)
  }
  child.on('error', (error) => {
    // A message that found no reader; its exit follows, unless it never started.
    if (child.pid === undefined) gone(error.message)
  })
  child.once('exit', (code, signal) => gone(signal ?? `code ${code}`))
  child.on('message', (message, handle) => {
    events.onMessage(message as FromWorker, handle as object | undefined)
  })
  return {
    pid: child.pid ?? 0,
    send(message, handle) {
      if (!child.connected) return false
      child.send(message, handle as SendHandle | undefined, () => undefined)
      return true
    },
    kill: () => void child.kill('SIGKILL'),
  }
}

/** Ends with the process. */
export function runWorkerProcess(): void {
  // Who starts something here starts no worker.
  delete process.env[WORKER]
  // They reach the whole group; the supervisor decides what becomes of this process.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'] as const) {
    process.on(signal, () => undefined)
  }
  const logs = new LogScopes(
    (line) => void process.stderr.write(`${line}\n`),
    () => realClock.nowMs(),
    'warn',
  )
  runWorker(
    {
      send(message, handle) {
        if (process.connected) {
          process.send?.(message, handle as SendHandle | undefined, {}, () => undefined)
        }
      },
      onMessage(listener) {
        process.on('message', (message, handle) => {
          listener(message as ToWorker, handle as object | undefined)
        })
      },
      onEnd: (listener) => void process.on('disconnect', listener),
    },
    {
      clock: realClock,
      random: Math.random,
      logs,
      errors: process,
      memoryBytes: () => process.memoryUsage.rss(),
      exit: (code) => process.exit(code),
    },
  )
}

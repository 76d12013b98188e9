/** What a process holds of the machine's memory and descriptors (Linux). */
import type { ChildProcess } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

const LOOK_MS = 20

/** The most that the process had resident, beyond what it had at the beginning. */
export function watchMemory(process: ChildProcess): { stop(): number } {
  const from = residentMb(process)
  let most = from
  const look = () => {
    most = Math.max(most, residentMb(process))
  }
  const timer = setInterval(look, LOOK_MS)
  return {
    stop() {
      clearInterval(timer)
      look()
      return most - from
    },
  }
}

export function residentMb({ pid }: ChildProcess): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1_024
}

export function openFiles({ pid }: ChildProcess): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

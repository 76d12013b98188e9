/** A control group with a memory limit for a process of a test, where this machine lets us make one. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const V1 = '/sys/fs/cgroup/memory'
const V2 = '/sys/fs/cgroup'

export interface MemoryGroup extends Disposable {
  /** Of a shell: it, and what it becomes and starts, are in the group from then on. */
  readonly joinCommand: string
  /** What the kernel counted: the most that was in use, and processes it killed. */
  readonly peakBytes: number
  readonly kills: number
}

/** @returns `undefined` without the rights, or where no cgroup file system can be written. */
export function openMemoryGroup(name: string, limitBytes: number): MemoryGroup | undefined {
  const isV1 = existsSync(join(V1, 'memory.limit_in_bytes'))
  const folder = join(isV1 ? V1 : V2, name)
  try {
    mkdirSync(folder)
    writeFileSync(join(folder, isV1 ? 'memory.limit_in_bytes' : 'memory.max'), String(limitBytes))
  } catch {
    if (existsSync(folder)) rmdirSync(folder)
    return undefined
  }
  const read = (file: string) => readFileSync(join(folder, file), 'utf8')
  return {
    joinCommand: `echo $$ > ${join(folder, 'cgroup.procs')}`,
    get peakBytes() {
      return Number(read(isV1 ? 'memory.max_usage_in_bytes' : 'memory.peak'))
    },
    get kills() {
      return Number(
        /^oom_kill (\d+)/m.exec(read(isV1 ? 'memory.oom_control' : 'memory.events'))?.[1],
      )
    },
    [Symbol.dispose]: () => rmdirSync(folder),
  }
}

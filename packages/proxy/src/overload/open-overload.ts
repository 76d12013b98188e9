/** The overload manager of this process, with what this machine lets it see. */
import { readFileSync } from 'node:fs'
import { getHeapStatistics } from 'node:v8'
import type { Clock, Logger } from '@weft/base'
import type { ConnectionBudget } from '../listen/connection-budget.ts'
import { cgroupMemory, type MemoryMonitor, usableBytes } from './cgroup-memory.ts'
import { LoopPressure, watchLoopDelay } from './loop-delay.ts'
import { OverloadManager, type OverloadTargets } from './overload-manager.ts'
import type { MonitorName, OverloadOptions } from './overload-options.ts'
import type { OverloadState } from './overload-state.ts'

export interface OpenOverloadDeps {
  readonly clock: Clock
  readonly log: Logger
  readonly state: OverloadState
  readonly targets: OverloadTargets
  readonly connections: ConnectionBudget
  /** Processes that share the memory: the supervisor has a share like each of its workers. */
  readonly processes: number
}

export function openOverload(options: OverloadOptions, deps: OpenOverloadDeps): OverloadManager {
  const { connections } = deps
  const loop = new LoopPressure(watchLoopDelay())
  const { maxHeapBytes, maxLoopDelayMs, maxConnections = connections.max } = options
  const monitors = new Map<MonitorName, () => number | undefined>()
  const memory = memoryMonitor(options, deps.processes)
  if (memory !== undefined) monitors.set('envoy.resource_monitors.cgroup_memory', memory.pressure)
  monitors.set('envoy.resource_monitors.fixed_heap', () => {
    const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics()
    return used / Math.min(limit, maxHeapBytes ?? limit)
  })
  monitors.set(
    'envoy.resource_monitors.global_downstream_max_connections',
    () => connections.open / maxConnections,
  )
  monitors.set('weft.resource_monitors.event_loop_delay', () => loop.refresh() / maxLoopDelayMs)
  return new OverloadManager(options, {
    ...deps,
    ...{ monitors, loop, memoryBytes: memory?.usableBytes, shrinkHeap: globalThis.gc },
  })
}

/** The control group's limit, and the one that was set for this proxy: whichever is nearer. */
function memoryMonitor(
  { maxMemoryBytes }: OverloadOptions,
  processes: number,
): MemoryMonitor | undefined {
  const group = cgroupMemory(readText, maxMemoryBytes)
  if (maxMemoryBytes === undefined) return group
  const ownBytes = usableBytes(maxMemoryBytes / processes)
  return {
    usableBytes: Math.min(ownBytes, group?.usableBytes ?? ownBytes),
    pressure: () => Math.max(process.memoryUsage.rss() / ownBytes, group?.pressure() ?? 0),
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    // Another system, or not ours to read.
    return undefined
  }
}

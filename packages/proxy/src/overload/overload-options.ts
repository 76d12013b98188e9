/**
 * What a proxy does when it runs out of something, in the terms of Envoy's overload manager:
 * a monitor says how much of a resource is in use (0 to 1), a trigger turns that into how
 * strongly an action applies, and of an action's triggers the strongest counts.
 */

/** Envoy's names; what Envoy has no monitor for is called `weft.…`. */
export const MONITORS = [
  'envoy.resource_monitors.cgroup_memory',
  'envoy.resource_monitors.fixed_heap',
  'envoy.resource_monitors.global_downstream_max_connections',
  'weft.resource_monitors.event_loop_delay',
] as const
export type MonitorName = (typeof MONITORS)[number]

/** In the order in which they should begin. */
export const ACTIONS = [
  'envoy.overload_actions.shrink_heap',
  'envoy.overload_actions.reduce_timeouts',
  'envoy.overload_actions.disable_http_keepalive',
  'envoy.overload_actions.stop_accepting_requests',
  'envoy.overload_actions.reset_high_memory_stream',
  'envoy.overload_actions.reject_incoming_connections',
] as const
export type ActionName = (typeof ACTIONS)[number]

/** Begins at `fromPressure` and is at its strongest at `toPressure`; equal: all at once. */
export interface OverloadTrigger {
  readonly monitor: MonitorName
  readonly fromPressure: number
  readonly toPressure: number
}

export interface OverloadAction {
  readonly name: ActionName
  readonly triggers: readonly OverloadTrigger[]
}

export interface OverloadOptions {
  /** Between two looks at the monitors, in milliseconds. */
  readonly refreshMs: number
  /** Of memory, in bytes; with a limit of the control group the smaller one counts. Absent: only that one. */
  readonly maxMemoryBytes?: number
  /** Of V8's heap, in bytes; absent: what V8 itself would not go beyond. */
  readonly maxHeapBytes?: number
  /** Connections of clients; absent: as many as descriptors allow. */
  readonly maxConnections?: number
  /** The mean delay of the event loop that is a pressure of 1, in milliseconds. */
  readonly maxLoopDelayMs: number
  /** What idle timeouts come down to at the strongest `reduce_timeouts`, in milliseconds. */
  readonly minIdleMs: number
  readonly actions: readonly OverloadAction[]
}

const MEMORY = 'envoy.resource_monitors.cgroup_memory'
const HEAP = 'envoy.resource_monitors.fixed_heap'
const CONNECTIONS = 'envoy.resource_monitors.global_downstream_max_connections'
const LOOP = 'weft.resource_monitors.event_loop_delay'

function at(monitor: MonitorName, fromPressure: number, toPressure = fromPressure) {
  return { monitor, fromPressure, toPressure }
}

const DEFAULT_ACTIONS: readonly OverloadAction[] = [
  { name: 'envoy.overload_actions.shrink_heap', triggers: [at(MEMORY, 0.85), at(HEAP, 0.85)] },
  {
    name: 'envoy.overload_actions.reduce_timeouts',
    triggers: [at(MEMORY, 0.85, 0.95), at(HEAP, 0.85, 0.95), at(CONNECTIONS, 0.85, 0.95)],
  },
  {
    name: 'envoy.overload_actions.disable_http_keepalive',
    triggers: [at(MEMORY, 0.92), at(HEAP, 0.92)],
  },
  {
    name: 'envoy.overload_actions.stop_accepting_requests',
    // A loop that is late for 1 s on average takes less, at 4 s nothing. Sooner would refuse what a
    // machine that others keep busy still answers (measured: 64 of 54,578 at three times its cores).
    triggers: [at(MEMORY, 0.95), at(HEAP, 0.95), at(LOOP, 0.25, 1)],
  },
  {
    name: 'envoy.overload_actions.reset_high_memory_stream',
    triggers: [at(MEMORY, 0.98), at(HEAP, 0.98)],
  },
  {
    name: 'envoy.overload_actions.reject_incoming_connections',
    triggers: [at(MEMORY, 0.98), at(HEAP, 0.98)],
  },
]

export const DEFAULT_OVERLOAD: OverloadOptions = {
  refreshMs: 250,
  maxLoopDelayMs: 4_000,
  minIdleMs: 2_000,
  actions: DEFAULT_ACTIONS,
}

/** How strongly an action applies, from 0 (not at all) to 1. */
export function strengthOf(
  { triggers }: OverloadAction,
  pressure: (monitor: MonitorName) => number | undefined,
): number {
  let strongest = 0
  for (const { monitor, fromPressure, toPressure } of triggers) {
    const now = pressure(monitor)
    if (now === undefined || now < fromPressure) continue
    const isWhole = now >= toPressure
    const strength = isWhole ? 1 : (now - fromPressure) / (toPressure - fromPressure)
    strongest = Math.max(strongest, strength)
  }
  return strongest
}

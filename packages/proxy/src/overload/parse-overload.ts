/**
 * Reads Envoy's `OverloadManager` (envoy.config.overload.v3) as people write it in a bootstrap,
 * in YAML or JSON: field names in snake or camel case. What has no effect here is an error, not
 * silence: whoever sets a limit believes that it holds.
 */
import { parseDurationMs } from '@weft/base'
import {
  ACTIONS,
  DEFAULT_OVERLOAD,
  MONITORS,
  type OverloadAction,
  type OverloadOptions,
  type OverloadTrigger,
} from './overload-options.ts'

const IDLE_TIMER = 'HTTP_DOWNSTREAM_CONNECTION_IDLE'
const MIN_REFRESH_MS = 10

interface Reading {
  memory: number | undefined
  heap: number | undefined
  connections: number | undefined
  delayMs: number | undefined
  minIdleMs: number | undefined
}

/**
 * @param value What stands under `overload_manager`.
 * @throws {Error} That says where, and what is expected there.
 */
export function parseOverload(value: unknown): OverloadOptions {
  const at = 'overload_manager'
  const whole = fieldsOf(value, at, ['refresh_interval', 'resource_monitors', 'actions'])
  const read: Reading = {
    ...{ memory: undefined, heap: undefined, connections: undefined },
    ...{ delayMs: undefined, minIdleMs: undefined },
  }
  const monitors = listOf(whole.resource_monitors, `${at}.resource_monitors`)
  for (const [i, one] of monitors.entries()) {
    readMonitor(one, `${at}.resource_monitors[${i}]`, read)
  }
  const actions = listOf(whole.actions, `${at}.actions`).map((one, i) =>
    readAction(one, `${at}.actions[${i}]`, read),
  )
  const { refreshMs, maxLoopDelayMs, minIdleMs } = DEFAULT_OVERLOAD
  const interval = whole.refresh_interval
  return {
    refreshMs:
      interval === undefined
        ? refreshMs
        : Math.max(MIN_REFRESH_MS, durationOf(interval, `${at}.refresh_interval`)),
    maxLoopDelayMs: read.delayMs ?? maxLoopDelayMs,
    minIdleMs: read.minIdleMs ?? minIdleMs,
    // Monitors and no actions: the limits are the author's, what follows from them is ours.
    actions: whole.actions === undefined ? DEFAULT_OVERLOAD.actions : actions,
    ...(read.memory === undefined ? {} : { maxMemoryBytes: read.memory }),
    ...(read.heap === undefined ? {} : { maxHeapBytes: read.heap }),
    ...(read.connections === undefined ? {} : { maxConnections: read.connections }),
  }
}

function readMonitor(value: unknown, at: string, read: Reading): void {
  const { name, typed_config: config } = fieldsOf(value, at, ['name', 'typed_config'])
  const where = `${at}.typed_config`
  switch (oneOf(name, MONITORS, `${at}.name`)) {
    case 'envoy.resource_monitors.cgroup_memory':
      read.memory = optionalCount(config, 'max_memory_bytes', where)
      return
    case 'envoy.resource_monitors.fixed_heap':
      read.heap = optionalCount(config, 'max_heap_size_bytes', where)
      return
    case 'envoy.resource_monitors.global_downstream_max_connections':
      read.connections = optionalCount(config, 'max_active_downstream_connections', where)
      return
    case 'weft.resource_monitors.event_loop_delay': {
      const { max_delay: delay } = fieldsOf(config ?? {}, where, ['max_delay'])
      if (delay !== undefined) read.delayMs = durationOf(delay, `${where}.max_delay`)
    }
  }
}

function optionalCount(config: unknown, field: string, at: string): number | undefined {
  const { [field]: value } = fieldsOf(config ?? {}, at, [field])
  return value === undefined ? undefined : countOf(value, `${at}.${field}`)
}

function readAction(value: unknown, at: string, read: Reading): OverloadAction {
  const fields = fieldsOf(value, at, ['name', 'triggers', 'typed_config'])
  const name = oneOf(fields.name, ACTIONS, `${at}.name`)
  if (fields.typed_config !== undefined) {
    if (name !== 'envoy.overload_actions.reduce_timeouts') {
      throw new Error(`${at}.typed_config: ${name} has no settings of its own`)
    }
    read.minIdleMs = readMinIdle(fields.typed_config, `${at}.typed_config`)
  }
  const triggers = listOf(fields.triggers, `${at}.triggers`)
  if (triggers.length === 0) throw new Error(`${at}.triggers: at least one is needed`)
  return { name, triggers: triggers.map((one, i) => readTrigger(one, `${at}.triggers[${i}]`)) }
}

function readMinIdle(value: unknown, at: string): number {
  const { timer_scale_factors: factors } = fieldsOf(value, at, ['timer_scale_factors'])
  const list = listOf(factors, `${at}.timer_scale_factors`)
  let minIdleMs = DEFAULT_OVERLOAD.minIdleMs
  for (const [i, one] of list.entries()) {
    const where = `${at}.timer_scale_factors[${i}]`
    const { timer, min_timeout: least } = fieldsOf(one, where, ['timer', 'min_timeout'])
    oneOf(timer, [IDLE_TIMER], `${where}.timer`)
    minIdleMs = durationOf(least, `${where}.min_timeout`)
  }
  return minIdleMs
}

function readTrigger(value: unknown, at: string): OverloadTrigger {
  const { name, threshold, scaled } = fieldsOf(value, at, ['name', 'threshold', 'scaled'])
  const monitor = oneOf(name, MONITORS, `${at}.name`)
  if ((threshold === undefined) === (scaled === undefined)) {
    throw new Error(`${at}: either threshold or scaled is needed`)
  }
  if (threshold !== undefined) {
    const { value: pressure } = fieldsOf(threshold, `${at}.threshold`, ['value'])
    const from = shareOf(pressure, `${at}.threshold.value`)
    return { monitor, fromPressure: from, toPressure: from }
  }
  const where = `${at}.scaled`
  const range = fieldsOf(scaled, where, ['scaling_threshold', 'saturation_threshold'])
  const fromPressure = shareOf(range.scaling_threshold, `${where}.scaling_threshold`)
  const toPressure = shareOf(range.saturation_threshold, `${where}.saturation_threshold`)
  if (toPressure <= fromPressure) {
    throw new Error(`${where}: saturation_threshold must be above scaling_threshold`)
  }
  return { monitor, fromPressure, toPressure }
}

type Fields = Record<string, unknown>

/** In snake case; `@type` is not looked at, the name says what it is. */
function fieldsOf(value: unknown, at: string, known: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error(`${at}: must be an object`)
  }
  const fields: Fields = Object.create(null)
  for (const [written, one] of Object.entries(value)) {
    if (written === '@type') continue
    const name = written.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    if (!known.includes(name)) {
      throw new Error(`${at}.${written}: is not supported, only ${known.join(', ')}`)
    }
    fields[name] = one
  }
  return fields
}

function listOf(value: unknown, at: string): readonly unknown[] {
  if (value === undefined) return []
  if (!Array.isArray(value)) throw new Error(`${at}: must be a list`)
  return value
}

function oneOf<T extends string>(value: unknown, known: readonly T[], at: string): T {
  const found = known.find((one) => one === value)
  if (found === undefined) throw new Error(`${at}: must be one of ${known.join(', ')}`)
  return found
}

/** Protobuf's JSON has 64-bit numbers as text. */
function countOf(value: unknown, at: string): number {
  const count = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value
  if (typeof count !== 'number' || !Number.isSafeInteger(count) || count <= 0) {
    throw new Error(`${at}: must be a whole number above 0`)
  }
  return count
}

function shareOf(value: unknown, at: string): number {
  if (typeof value !== 'number' || !(value >= 0 && value <= 1)) {
    throw new Error(`${at}: must be a number from 0 to 1`)
  }
  return value
}

function durationOf(value: unknown, at: string): number {
  const ms = typeof value === 'string' ? parseDurationMs(value) : undefined
  if (ms === undefined || ms <= 0) throw new Error(`${at}: must be a duration such as 0.25s`)
  return ms
}

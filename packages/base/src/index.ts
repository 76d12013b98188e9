export { type BackoffPolicy, backoffMs } from './backoff.ts'
export { type Cidr, cidrContains, type IpOctets, parseCidr, parseIp } from './cidr.ts'
export { type Clock, keepProcessAlive, realClock, sleep } from './clock.ts'
export { watchClockJumps } from './clock-jumps.ts'
export { parseDurationMs, renderDuration } from './duration.ts'
export { contentHash, fnv1a } from './hash.ts'
export { Latest } from './latest.ts'
export {
  LOG_LEVELS,
  type LogFields,
  type Logger,
  type LogLevel,
  LogScopes,
  silentLogger,
} from './log.ts'
export { parseStrictJson, type StrictJsonLimits } from './strict-json.ts'
export { unreachable } from './unreachable.ts'

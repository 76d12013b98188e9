export type { ConfigFeed } from './config-feed.ts'
export { type ProxyDeps, type ProxyHandle, startProxy } from './proxy.ts'
export {
  type ConfigSource,
  DEFAULT_TIMINGS,
  type ProxyOptions,
  type ProxyTimings,
} from './proxy-options.ts'

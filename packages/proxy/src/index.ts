import type { Agent, AgentDeps, AgentOptions } from './agent/agent.ts'
import type { TokenAnswer, TokenOrder } from './agent/ask-token.ts'

export type { Agent, AgentOptions } from './agent/agent.ts'
export { CERTIFICATE_FILES } from './agent/certificate-file-names.ts'
export type { TransportChoice } from './choose-transport.ts'
export type { ConfigFeed } from './config-feed.ts'
export { type AccessCall, AccessJudge, type Judgement } from './explain/access-judge.ts'
export type { IdentityOptions, IdentityProof } from './identity/workload-identity.ts'
export { DEFAULT_OVERLOAD, type OverloadOptions } from './overload/overload-options.ts'
export { parseOverload } from './overload/parse-overload.ts'
export { startProxy } from './proxy.ts'
export type { ProxyDeps, ProxyHandle, SingleProxy } from './proxy-handle.ts'
export {
  type ConfigSource,
  DEFAULT_TIMINGS,
  type ProxyOptions,
  type ProxyTimings,
} from './proxy-options.ts'
export { type HandedSocket, HandedSockets } from './upgrade/handed-sockets.ts'
export type { FromWorker, ToWorker, WorkerEvents, WorkerProcess } from './workers/messages.ts'
export { runWorker } from './workers/run-worker.ts'
export { startSupervisor } from './workers/supervisor.ts'
export { sendable } from './workers/worker-sockets.ts'

/** An identity without a proxy, see `agent/agent.ts`; loaded when it is wanted. */
export async function startAgent(options: AgentOptions, deps: AgentDeps): Promise<Agent> {
  return (await import('./agent/agent.ts')).startAgent(options, deps)
}

/** A token for a workload that the caller vouches for, see `agent/ask-token.ts`. */
export async function askToken(
  order: TokenOrder,
  deps: Pick<AgentDeps, 'clock'>,
): Promise<TokenAnswer> {
  return (await import('./agent/ask-token.ts')).askToken(order, deps.clock)
}

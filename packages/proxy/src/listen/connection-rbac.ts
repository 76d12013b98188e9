/**
 * Authorization of connections (Envoy's network rbac filter): before anything of one is served,
 * and for TCP again whenever the rules change, so that a right that was taken away ends what it
 * allowed.
 */
import type { NetworkRbac } from '@weft/model'
import type { Socket } from '@weft/net'
import type { Caller } from '@weft/traffic'
import type { ChainRuntime, EngineDeps } from '../exchange/contract.ts'
import { connectionDenialText } from '../filters/denial-note.ts'
import { type RbacStep, rbacStep } from '../filters/rbac-step.ts'
import type { ListenerSlot } from './listener-slot.ts'

/** @param serverName Asked for in a ClientHello that is passed through. */
export function connectionDenial(
  { rbac }: ChainRuntime,
  socket: Socket,
  serverName: string | undefined,
  deps: EngineDeps,
): string | undefined {
  if (rbac === undefined) return undefined
  const caller = callerOf(socket, serverName)
  for (const one of rbac) {
    const { denial, because } = stepOf(one, deps).judge(caller)
    if (denial !== undefined) return connectionDenialText(denial, because ?? '')
  }
  return undefined
}

export interface WatchedConnection {
  readonly slot: ListenerSlot
  /** By which it was let in. */
  readonly chain: ChainRuntime
  /** The chain that it would have now. */
  now(): ChainRuntime | undefined
  readonly socket: Socket
  readonly serverName: string | undefined
}

/** @returns Stops watching. */
export function watchRules(
  { slot, chain, now, socket, serverName }: WatchedConnection,
  revoke: (denial: string) => void,
  deps: EngineDeps,
): () => void {
  let judgedBy = chain.rbac
  return slot.watch(() => {
    const next = now()
    if (next === undefined || next.rbac === judgedBy) return
    judgedBy = next.rbac
    const denial = connectionDenial(next, socket, serverName, deps)
    if (denial !== undefined) revoke(denial)
  })
}

const steps = new WeakMap<EngineDeps, WeakMap<NetworkRbac, RbacStep>>()

/** Bound once for each proxy. */
function stepOf(filter: NetworkRbac, deps: EngineDeps): RbacStep {
  let own = steps.get(deps)
  if (own === undefined) {
    own = new WeakMap()
    steps.set(deps, own)
  }
  let step = own.get(filter)
  if (step === undefined) {
    const name = filter.statPrefix.replace(/\.$/, '')
    step = rbacStep(filter, { kind: 'network', name }, deps)
    own.set(filter, step)
  }
  return step
}

function callerOf(socket: Socket, serverName: string | undefined): Caller {
  const { remoteAddress, directAddress, localAddress, tls } = socket
  return {
    sourceIp: (directAddress ?? remoteAddress).host,
    remoteIp: remoteAddress.host,
    destinationIp: localAddress.host,
    destinationPort: localAddress.port,
    serverName: tls?.serverName ?? serverName,
    principals: tls?.peer?.uriSans,
  }
}

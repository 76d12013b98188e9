/** A proxy's identity from its options: what is needed before it says who it is. */
import type { LogScopes } from '@weft/base'
import type { ProxyDeps } from '../proxy-handle.ts'
import type { ProxyOptions } from '../proxy-options.ts'
import type { WorkloadIdentity } from './workload-identity.ts'

/** Resolves with the first certificate or soon after; `undefined` where none is wanted. */
export async function openIdentity(
  { identity, workload }: ProxyOptions,
  nodeId: string,
  { clock, random, logs }: Pick<ProxyDeps, 'clock' | 'random'> & { readonly logs: LogScopes },
): Promise<WorkloadIdentity | undefined> {
  if (identity === undefined) return undefined
  // Reading and writing certificates is a hundred modules: a proxy without an identity starts without.
  const { WorkloadIdentity: Identity } = await import('./workload-identity.ts')
  const opened = new Identity(
    identity,
    {
      NAMESPACE: workload.namespace,
      SERVICE_ACCOUNT: workload.serviceAccount,
      WORKLOAD_NAME: workload.name,
      NODE_ID: nodeId,
    },
    { clock, random, log: logs.logger('identity') },
  )
  await opened.start()
  return opened
}

/**
 * The proxy's identity for its application, on a Unix socket: SPIFFE's Workload API and SDS.
 *
 * @returns How to close it; `undefined` where none is wanted.
 */
export async function openWorkloadSocket(
  { identity: options, workloadSocket }: ProxyOptions,
  identity: WorkloadIdentity | undefined,
  nodeId: string,
  { clock, random, logs }: Pick<ProxyDeps, 'clock' | 'random'> & { readonly logs: LogScopes },
): Promise<(() => Promise<void>) | undefined> {
  if (options === undefined || identity === undefined || workloadSocket === undefined) {
    return undefined
  }
  const { ServedIdentity } = await import('./workload-api/serve-identity.ts')
  const { connect, tls } = options
  const deps = { clock, random, log: logs.logger('identity') }
  const served = new ServedIdentity(identity, { connect, isTls: tls !== undefined, nodeId }, deps)
  const api = await served.openApi(workloadSocket)
  await served.start()
  return () => {
    served.close()
    return api.close()
  }
}

/**
 * An identity without a proxy: for a workload that speaks TLS itself, with a SPIFFE library, through
 * an Envoy of its own, or from files.
 *
 *     control plane ── certificate, bundles, tokens ──► agent ──► socket (Workload API, SDS)
 *                                                            └──► files
 */
import type { Clock, LogScopes } from '@weft/base'
import type { WorkloadApi } from '@weft/xds'
import { type HeldIdentity, ServedIdentity } from '../identity/workload-api/serve-identity.ts'
import {
  type IdentityOptions,
  type IdentityStatus,
  WorkloadIdentity,
} from '../identity/workload-identity.ts'
import { CertificateFiles } from './certificate-files.ts'

export interface AgentOptions {
  readonly identity: IdentityOptions
  readonly workload: {
    readonly name: string
    readonly namespace: string
    readonly serviceAccount: string
  }
  /** Tells replicas of one workload apart. */
  readonly nodeId: string
  /** Where the Unix socket is; absent: there is none. */
  readonly socketPath?: string
  /** Folder for certificate files; absent: none are written. */
  readonly certificateDir?: string
}

export interface AgentDeps {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly logs: LogScopes
}

export interface Agent {
  status(): IdentityStatus
  /** Certificate, key and bundles; undefined as long as there is no certificate that is still good. */
  held(): HeldIdentity | undefined
  /** Resolves with the first certificate, when socket and files are there. */
  readonly ready: Promise<void>
  /** Told of every certificate and bundle. Returns how to stop. */
  onChange(changed: () => void): () => void
  close(): Promise<void>
}

/** @throws What `node:fs` and `node:net` throw when the socket cannot be opened. */
export async function startAgent(
  { identity: asked, workload, nodeId, socketPath, certificateDir }: AgentOptions,
  { clock, random, logs }: AgentDeps,
): Promise<Agent> {
  const log = logs.logger('identity')
  const deps = { clock, random, log }
  const metadata = {
    NAMESPACE: workload.namespace,
    SERVICE_ACCOUNT: workload.serviceAccount,
    WORKLOAD_NAME: workload.name,
    NODE_ID: nodeId,
  }
  const identity = new WorkloadIdentity(asked, metadata, deps)
  const { connect, tls } = asked
  const where = { connect, isTls: tls !== undefined, nodeId }
  const served = new ServedIdentity(identity, where, deps)
  let api: WorkloadApi | undefined
  const close = async () => {
    served.close()
    identity.close()
    await api?.close()
  }
  try {
    // Before there is an identity: who asks now waits for it instead of failing.
    if (socketPath !== undefined) api = await served.openApi(socketPath)
  } catch (error) {
    await close()
    throw error
  }
  const files = certificateDir === undefined ? undefined : new CertificateFiles(certificateDir, log)
  const write = async () => {
    const { held } = served
    if (held !== undefined) await files?.write(held)
    return held !== undefined
  }
  const ready = new Promise<void>((resolve) => {
    const look = () => void write().then((isThere) => (isThere ? resolve() : undefined))
    served.onChange(look)
    void identity.start().then(() => {
      look()
      return served.start()
    })
  })
  return {
    status: () => identity.status(),
    held: () => served.held,
    ready,
    onChange: (changed) => served.onChange(changed),
    close,
  }
}

/**
 * One Unix socket by which a workload has its identity, in whichever way it asks: SPIFFE's Workload
 * API, or SDS as Envoy speaks it (`StreamSecrets`, `DeltaSecrets`, no ADS), with Istio's names:
 *
 *     default   the workload's certificate and key
 *     ROOTCA    whom it trusts
 */
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Clock, Logger } from '@weft/base'
import { contentHash } from '@weft/base'
import type { ResourceSet, Secret } from '@weft/model'
import { openAdsServer } from '../server/open-ads-server.ts'
import { workloadService } from './workload-service.ts'
import type { WorkloadSource } from './workload-source.ts'

export interface WorkloadApi {
  readonly path: string
  close(): Promise<void>
}

export interface WorkloadApiDeps {
  readonly clock: Clock
  readonly log: Logger
  /** What SDS gives, by name; asked at every change of the source. */
  secrets(): ReadonlyMap<string, Secret>
}

/** Everybody who may open the socket gets the same. */
const VIEW = 'workload'
const OWNER_ONLY = 0o600
const FOLDER_MODE = 0o700

/**
 * @param path Of the socket. Its folder is made for its owner only, and so is the socket: whoever
 * can open it runs as the same user.
 */
export async function openWorkloadApi(
  path: string,
  source: WorkloadSource,
  { clock, log, secrets }: WorkloadApiDeps,
): Promise<WorkloadApi> {
  const services = workloadService(source, clock)
  const server = openAdsServer({ serves: 'sds' }, { clock, log, services, viewOf: () => VIEW })
  const publish = () => {
    const secret = secrets()
    // Envoy waits for a secret that is not there yet; an empty answer would say that there is none.
    if (secret.size === 0) return
    server.publish(VIEW, setOf(secret), contentHash(JSON.stringify([...secret])))
  }
  const stop = source.onChange(publish)
  publish()
  await mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE })
  await server.listen({ path, mode: OWNER_ONLY })
  return {
    path,
    async close() {
      stop()
      await server.close()
    },
  }
}

function setOf(secret: ReadonlyMap<string, Secret>): ResourceSet {
  return {
    listener: new Map(),
    route: new Map(),
    cluster: new Map(),
    endpoints: new Map(),
    secret,
  }
}

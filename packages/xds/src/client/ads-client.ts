/** The contract of the ADS client; `open-ads-client.ts` builds one. */
import type { Clock, Logger } from '@weft/base'
import type { Listener, ResourceSet, Resources, ResourceType, SocketAddress } from '@weft/model'
import type { XdsNode } from '../node.ts'

/** Where resources come from, and what the owner of the data plane wants to know of them. */
export interface ResourceSinkDeps {
  readonly clock: Clock
  readonly log: Logger
  /** Why the data plane cannot run this resource; the text becomes the reason of the NACK. */
  validate?<T extends ResourceType>(type: T, resource: Resources[T]): string | undefined
  /**
   * Why listeners that came cannot be opened here, by name; `undefined` when all of them can.
   * They are refused, and what they would replace stays. Only a control plane's are asked for.
   *
   * @param gone Names of listeners that the control plane has taken back.
   */
  unopenable?(
    came: readonly Listener[],
    gone: readonly string[],
  ): Promise<ReadonlyMap<string, string>> | undefined
  /**
   * A complete set: everything that listeners and clusters refer to is there, is known
   * not to exist, or was waited for long enough. Unchanged resources are the same objects
   * as in the set before. What is returned settles when the set is in force: only then the
   * response that completed it is acknowledged, so that whoever asks next finds it so.
   */
  onUpdate(update: ResourceUpdate): Promise<void> | void
}

export interface ResourceUpdate {
  readonly set: ResourceSet
  /** Content hashes by type and name, for `/config_dump`. */
  readonly versions: { readonly [T in ResourceType]: ReadonlyMap<string, string> }
  /** `disk`: last good state of an earlier run; the control plane has not answered yet. */
  readonly source: 'control' | 'disk' | 'file'
}

/** Mutual TLS with the control plane, with a certificate that may come later and changes. */
export interface XdsSecurity {
  /** In force now; `undefined`: there is none yet, and nobody is connected to. */
  credentials(): XdsCredentials | undefined
  /** Calls back when there are others. Returns how to stop. */
  onChange(changed: () => void): () => void
}

/** PEM throughout. */
export interface XdsCredentials {
  readonly chainPem: string
  readonly keyPem: string
  /** What the control plane's certificate must lead to. */
  readonly rootsPem: string
}

export interface AdsClientOptions {
  /** A function is asked at every connect. */
  readonly node: XdsNode | (() => XdsNode)
  readonly connect: SocketAddress | { readonly path: string }
  /** Absent: plaintext. */
  readonly security?: XdsSecurity
  /** Folder for the last good state; absent: none is kept. Made with mode 0700 if missing. */
  readonly lastGood?: { readonly dir: string }
  /** How long a set waits for what it refers to. Default 15 s. */
  readonly dependencyTimeoutMs?: number
  /** Secrets that the data plane has from elsewhere: referred to, never asked for. */
  readonly localSecrets?: readonly string[]
  /** Secrets that are asked for whether or not anything refers to them. */
  readonly standingSecrets?: readonly string[]
}

export interface AdsClientDeps extends ResourceSinkDeps {
  /** Uniform in [0, 1), for the jitter of reconnects. */
  readonly random: () => number
  onState?(state: AdsClientState): void
}

export type AdsClientState =
  | { readonly kind: 'connecting'; readonly attempt: number }
  | { readonly kind: 'connected' }
  | { readonly kind: 'backoff'; readonly delayMs: number; readonly reason: string }
  | { readonly kind: 'closed' }

export interface AdsClient {
  state(): AdsClientState
  /** Tells the control plane whether the workload is healthy; repeated after every reconnect. */
  reportHealth(healthy: boolean, message: string): void
  /** Introduces itself anew, on another connection; what is held stays. */
  reconnect(reason: string): void
  /** Has listeners sent and judged once more, because it may come out otherwise. */
  askAgain(listeners: readonly string[]): void
  /** What was refused, newest first, bounded; for the admin port. */
  rejections(): readonly Rejection[]
  stats(): AdsClientStats
  close(): Promise<void>
}

export interface Rejection {
  readonly type: ResourceType
  readonly name: string
  readonly version: string
  readonly problem: string
  readonly atMs: number
}

export interface AdsClientStats {
  readonly connects: number
  readonly responses: number
  readonly acks: number
  readonly nacks: number
}

/** A handle on files that are read as resources. */
export interface ResourceFiles {
  /** Reads everything anew now, instead of when the watcher notices. */
  reload(): Promise<void>
  rejections(): readonly Rejection[]
  close(): void
}

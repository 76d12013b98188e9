/** Where the configuration comes from, whichever it is: a control plane, files, or whoever embeds the proxy. */
import {
  type AdsClientState,
  createAdsClient,
  type Rejection,
  type ResourceSinkDeps,
  watchResourceFiles,
  type XdsNode,
} from '@weft/xds'
import type { ConfigSource } from './proxy-options.ts'

export interface ConfigFeed {
  /** Refused resources, newest first. */
  rejections(): readonly Rejection[]
  /** Absent when there is no control plane. */
  control(): AdsClientState | undefined
  reportHealth(healthy: boolean, message: string): void
  close(): Promise<void>
}

export interface ConfigFeedDeps extends ResourceSinkDeps {
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Secrets that come from elsewhere, see `AdsClientOptions`. */
  readonly localSecrets?: readonly string[]
  /** Hears how the control plane is. */
  onState?(state: AdsClientState): void
}

/** Resolves when the feed works on its own; the first configuration may come much later. */
export async function openConfigFeed(
  source: ConfigSource,
  node: XdsNode,
  deps: ConfigFeedDeps,
): Promise<ConfigFeed> {
  switch (source.kind) {
    case 'ads': {
      const lastGood =
        source.lastGoodDir === undefined ? {} : { lastGood: { dir: source.lastGoodDir } }
      const { localSecrets } = deps
      const local = localSecrets === undefined ? {} : { localSecrets }
      const where = { node, connect: source.connect, ...lastGood, ...local }
      const client = await createAdsClient(where, deps)
      return {
        rejections: () => client.rejections(),
        control: () => client.state(),
        reportHealth: (healthy, message) => client.reportHealth(healthy, message),
        close: () => client.close(),
      }
    }
    case 'files': {
      const files = await watchResourceFiles(source.path, deps)
      return {
        rejections: () => files.rejections(),
        control: () => undefined,
        reportHealth() {},
        close: async () => files.close(),
      }
    }
    case 'feed':
      return source.open(deps)
  }
}

/** Where the configuration comes from, whichever it is: a control plane, files, or whoever embeds the proxy. */
import {
  type AdsClient,
  type AdsClientState,
  createAdsClient,
  type Rejection,
  type ResourceSinkDeps,
  watchResourceFiles,
  type XdsCredentials,
  type XdsNode,
  type XdsSecurity,
} from '@weft/xds'
import type { ConfigSource } from './proxy-options.ts'

export interface ConfigFeed {
  /** Refused resources, newest first. */
  rejections(): readonly Rejection[]
  /** Absent when there is no control plane. */
  control(): AdsClientState | undefined
  reportHealth(healthy: boolean, message: string): void
  /** See `AdsClient`; absent when there is no control plane. */
  askAgain?(listeners: readonly string[]): void
  close(): Promise<void>
}

export interface ConfigFeedDeps extends ResourceSinkDeps {
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Secrets that come from elsewhere, see `AdsClientOptions`. */
  readonly localSecrets?: readonly string[]
  /** Secrets that are asked for in any case, see `AdsClientOptions`. */
  readonly standingSecrets?: readonly string[]
  /** Who the proxy is, as far as it is known by now; absent: it has no identity. */
  readonly identity?: FeedIdentity
}

/** What a control plane is told of an identity, and what proves it. */
interface FeedIdentity {
  /** The SPIFFE ID, or that one is expected; absent: none is. */
  readonly announced: string | undefined
  /** The certificate in force, PEM. */
  readonly svid: XdsCredentials | undefined
  onChange(changed: () => void): () => void
  /** A control plane was heard of. */
  reachable(): void
}

/** Resolves when the feed works on its own; the first configuration may come much later. */
export async function openConfigFeed(
  source: ConfigSource,
  node: XdsNode,
  deps: ConfigFeedDeps,
): Promise<ConfigFeed> {
  switch (source.kind) {
    case 'ads': {
      const client = await openAds(source, node, deps)
      return {
        rejections: () => client.rejections(),
        control: () => client.state(),
        reportHealth: (healthy, message) => client.reportHealth(healthy, message),
        askAgain: (listeners) => client.askAgain(listeners),
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

type AdsSource = Extract<ConfigSource, { readonly kind: 'ads' }>

async function openAds(
  { connect, lastGoodDir, isTls }: AdsSource,
  node: XdsNode,
  deps: ConfigFeedDeps,
): Promise<AdsClient> {
  const { identity, localSecrets, standingSecrets } = deps
  const options = {
    connect,
    ...(lastGoodDir === undefined ? {} : { lastGood: { dir: lastGoodDir } }),
    ...(localSecrets === undefined ? {} : { localSecrets }),
    ...(standingSecrets === undefined ? {} : { standingSecrets }),
  }
  if (identity === undefined) {
    if (isTls) throw new Error('Cannot connect over TLS: the proxy needs an identity for that')
    return createAdsClient({ ...options, node }, deps)
  }
  let told: string | undefined
  const nodeNow = (): XdsNode => {
    told = identity.announced
    const { WEFT_IDENTITY: _, ...metadata } = node.metadata
    return { ...node, metadata: { ...metadata, ...(told && { WEFT_IDENTITY: told }) } }
  }
  const security: XdsSecurity = {
    credentials: () => identity.svid,
    onChange: (changed) => identity.onChange(changed),
  }
  const onState = (state: AdsClientState) => {
    if (state.kind === 'connected') identity.reachable()
  }
  const client = await createAdsClient(
    { ...options, node: nodeNow, ...(isTls ? { security } : {}) },
    { ...deps, onState },
  )
  // A CA that came late: peers must hear that there is somebody to speak TLS with.
  identity.onChange(() => {
    if (told === undefined && identity.announced !== undefined) client.reconnect('an identity came')
  })
  return client
}

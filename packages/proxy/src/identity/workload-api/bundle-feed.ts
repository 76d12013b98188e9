/**
 * The bundles of all trust domains that the mesh believes, as the control plane tells them:
 *
 *     connecting ──► told, acknowledged, told … ──► lost ──► backoff, jittered ──► connecting
 *
 * What was told last stays when the control plane is gone. What cannot be read replaces nothing.
 */
import { backoffMs, type Clock, type Logger } from '@weft/base'
import { readSpiffeBundle, type SpiffeBundle } from '@weft/identity'
import { type BundleNews, type IdentityMessages, loadIdentityMessages } from '@weft/xds'
import type { Svid } from '../svid.ts'
import { type ControlStream, type ControlTarget, openControlCall } from './control-call.ts'

export interface BundleFeedOptions {
  readonly target: ControlTarget
  readonly isTls: boolean
  readonly nodeId: string
}

export interface BundleFeedDeps {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Logger
  svid(): Svid | undefined
  onBundles(bundles: TrustedBundles): void
}

export interface TrustedBundles {
  readonly trustDomain: string
  readonly byTrustDomain: ReadonlyMap<string, SpiffeBundle>
}

const BACKOFF = { baseMs: 500, maxMs: 30_000 }
const UNIMPLEMENTED = 12

export class BundleFeed {
  readonly #options: BundleFeedOptions
  readonly #deps: BundleFeedDeps
  #messages: IdentityMessages | undefined
  #stream: ControlStream | undefined
  #version = ''
  #attempt = 0
  #isClosed = false
  #cancel: () => void = () => undefined

  constructor(options: BundleFeedOptions, deps: BundleFeedDeps) {
    this.#options = options
    this.#deps = deps
  }

  async start(): Promise<void> {
    this.#messages = await loadIdentityMessages()
    this.#connect()
  }

  /** Another identity is another holder of the bundle. */
  reconnect(): void {
    if (this.#messages === undefined || this.#isClosed) return
    this.#cancel()
    this.#stream?.close()
    this.#connect()
  }

  close(): void {
    this.#isClosed = true
    this.#cancel()
    this.#stream?.close()
  }

  #connect(): void {
    const { clock, svid: own } = this.#deps
    const { target, isTls } = this.#options
    const svid = isTls ? own() : undefined
    // Without a certificate there is nothing to show, and nobody to show it to.
    if (isTls && svid === undefined) return
    const way = svid === undefined ? { target } : { target, svid }
    this.#stream = openControlCall({ ...way, method: 'WatchBundles' }, clock, {
      onMessage: (message) => this.#receive(message),
      onEnd: (code, problem) => this.#ended(code, problem),
    })
    this.#acknowledge()
  }

  #acknowledge(): void {
    const identity = this.#deps.svid()?.id ?? ''
    const said = { nodeId: this.#options.nodeId, identity, version: this.#version }
    if (this.#messages !== undefined) this.#stream?.send(this.#messages.encodeAcknowledgement(said))
  }

  #receive(message: Buffer): void {
    const { log, onBundles } = this.#deps
    this.#attempt = 0
    let news: BundleNews | undefined
    try {
      news = this.#messages?.decodeBundleNews(message)
    } catch (error) {
      log.error('what the control plane says of bundles cannot be read', { error })
    }
    const bundles = news === undefined ? undefined : this.#read(news)
    if (news === undefined || bundles === undefined) return
    this.#version = news.version
    onBundles(bundles)
    this.#acknowledge()
  }

  /** `undefined`: the own bundle is not there; nobody could be verified by what is. */
  #read({ trustDomain, documents }: BundleNews): TrustedBundles | undefined {
    const byTrustDomain = new Map<string, SpiffeBundle>()
    for (const [name, document] of documents) {
      const read = readSpiffeBundle(name, document)
      if (read.ok) byTrustDomain.set(name, read.bundle)
      else this.#deps.log.error('bundle not used', { trustDomain: name, problem: read.problem })
    }
    return byTrustDomain.has(trustDomain) ? { trustDomain, byTrustDomain } : undefined
  }

  #ended(code: number, problem: string): void {
    const { clock, log, random } = this.#deps
    if (this.#isClosed) return
    const delayMs = backoffMs(BACKOFF, Math.min(this.#attempt++, 10), random)
    const facts = { code, problem, retryInMs: Math.round(delayMs) }
    if (code === UNIMPLEMENTED) log.info('the control plane tells no bundles', facts)
    else log.warn('bundles are not heard of', facts)
    this.#cancel = clock.after(delayMs, () => this.#connect())
  }
}

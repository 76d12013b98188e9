/** What a broker's TLS listeners show, made anew when the certificate or the roots change. */
import { readFile } from 'node:fs/promises'
import type { Clock, Logger } from '@weft/base'
import { type Authentication, openServerTls } from '@weft/broker'
import type { Agent } from '@weft/proxy'
import type { BrokerRunOptions } from './broker-options.ts'

export interface BrokerTlsDeps {
  readonly clock: Clock
  readonly log: Logger
  /** Has the mesh's certificate. */
  readonly agent: Agent | undefined
  readonly authentication: Pick<Authentication, 'roots'>
}

type Context = ReturnType<typeof openServerTls>

const LOOK_MS = 10_000

export class BrokerTls {
  readonly #files: BrokerRunOptions['certificate']
  readonly #deps: BrokerTlsDeps
  #pair: { readonly chainPem: string; readonly keyPem: string } | undefined
  #context: Context | undefined
  readonly #waiting: (() => void)[] = []
  #cancel: () => void = () => undefined
  #stopHearing: (() => void) | undefined

  constructor(files: BrokerRunOptions['certificate'], deps: BrokerTlsDeps) {
    this.#files = files
    this.#deps = deps
  }

  /** @throws {Error} When a file cannot be read, or certificate and key do not fit. */
  async open(): Promise<void> {
    const { agent } = this.#deps
    if (this.#files !== undefined) {
      await this.#readFiles()
      this.#lookLater()
    }
    this.#make()
    this.#stopHearing = agent?.onChange(() => this.#makeAgain())
  }

  /** Resolves when there is a certificate. */
  get ready(): Promise<void> {
    if (this.#context !== undefined) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** What is shown; undefined: nothing yet. */
  get pair(): { readonly chainPem: string; readonly keyPem: string } | undefined {
    if (this.#files !== undefined) return this.#pair
    const svid = this.#deps.agent?.held()?.svid
    return svid && { chainPem: svid.chainPem, keyPem: svid.keyPem }
  }

  /** Of new connections. @throws {Error} As long as there is no certificate. */
  get context(): Context {
    if (this.#context === undefined) throw new Error('Cannot shake hands: no certificate came yet')
    return this.#context
  }

  get isReady(): boolean {
    return this.#context !== undefined
  }

  close(): void {
    this.#cancel()
    this.#stopHearing?.()
  }

  async #readFiles(): Promise<boolean> {
    if (this.#files === undefined) return false
    const { chainFile, keyFile } = this.#files
    const [chainPem, keyPem] = await Promise.all([
      readFile(chainFile, 'utf8'),
      readFile(keyFile, 'utf8'),
    ])
    if (chainPem === this.#pair?.chainPem && keyPem === this.#pair.keyPem) return false
    this.#pair = { chainPem, keyPem }
    return true
  }

  #lookLater(): void {
    this.#cancel = this.#deps.clock.after(LOOK_MS, () => {
      this.#lookLater()
      this.#readFiles().then(
        (isNew) => (isNew ? this.#makeAgain() : undefined),
        (error: unknown) => this.#deps.log.warn('certificate files are not read', { error }),
      )
    })
  }

  #make(): void {
    const { pair } = this
    if (pair === undefined) return
    const { chainPem, keyPem } = pair
    const roots = this.#deps.authentication.roots()
    const parts = { chainPem, keyPem, roots, requiresCertificate: false }
    this.#context = openServerTls(parts, () => this.#deps.clock.nowMs())
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** Files change one after the other: what does not fit is tried again, what is there stays. */
  #makeAgain(): void {
    try {
      this.#make()
    } catch (error) {
      this.#pair = undefined
      this.#deps.log.warn('a new certificate is not used', { error })
    }
  }
}

/** The members of an etcd cluster, in turn: which one answers does not matter. */
import { readFile } from 'node:fs/promises'
import type { Clock } from '@weft/base'
import { EtcdSession, type EtcdTarget } from './etcd-session.ts'

export interface EtcdOptions {
  /** `http://host:2379` or `https://host:2379`, at least one. */
  readonly urls: readonly string[]
  /** PEM files, read for each connection anew: certificates are renewed. */
  readonly caFile?: string
  readonly certFile?: string
  readonly keyFile?: string
  readonly user?: { readonly name: string; readonly password: string }
}

export class EtcdMembers {
  readonly #options: EtcdOptions
  readonly #clock: Clock
  #next = 0

  constructor(options: EtcdOptions, clock: Clock) {
    this.#options = options
    this.#clock = clock
  }

  /** @throws {Error} When the next member cannot be reached, or files cannot be read. */
  async open(onEnd: (reason: string) => void): Promise<EtcdSession> {
    const { urls } = this.#options
    const url = urls[this.#next++ % urls.length] as string
    try {
      const target = await this.#target(url)
      return await EtcdSession.open(target, {
        clock: this.#clock,
        onEnd: (reason) => onEnd(`${url}: ${reason}`),
      })
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new Error(`${url}: ${why}`, { cause })
    }
  }

  async #target(url: string): Promise<EtcdTarget> {
    const { caFile, certFile, keyFile, user } = this.#options
    const [caPem, chainPem, keyPem] = await Promise.all(
      [caFile, certFile, keyFile].map((file) =>
        file === undefined ? undefined : readFile(file, 'utf8'),
      ),
    )
    return {
      url,
      tls: {
        ...(caPem === undefined ? {} : { caPem }),
        ...(chainPem === undefined || keyPem === undefined
          ? {}
          : { certificate: { chainPem, keyPem } }),
      },
      ...(user === undefined ? {} : { user }),
    }
  }
}

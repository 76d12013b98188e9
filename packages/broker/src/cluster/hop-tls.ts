/**
 * Mutual TLS between brokers. Both ends show the identity that the mesh gave them, and each takes
 * only those that may be brokers: a verified chain alone makes nobody one.
 */
import type { X509Certificate } from 'node:crypto'
import { type Roots, verifySvid, writePem } from '@weft/identity'
import { type ClientTlsContext, clientTlsContext, type ServerTlsContext } from '@weft/net'
import { chainOf, openServerTls } from '../auth/server-tls.ts'
import type { Leg } from '../leg.ts'

export interface HopIdentity {
  /** SPIFFE ID of the certificate. */
  readonly id: string
  /** PEM. */
  readonly chainPem: string
  readonly keyPem: string
  /** Whom we believe, by trust domain. */
  readonly roots: Roots
}

export interface HopTlsOptions {
  /** Undefined as long as there is no certificate. */
  readonly identity: () => HopIdentity | undefined
  /** SPIFFE IDs of brokers; empty: our own. */
  readonly peers: readonly string[]
}

interface Contexts {
  readonly identity: HopIdentity
  readonly server: ServerTlsContext
  readonly client: ClientTlsContext
}

export class HopTls {
  readonly #options: HopTlsOptions
  readonly #nowMs: () => number
  #made: Contexts | undefined

  /** @param nowMs Wall clock. */
  constructor(options: HopTlsOptions, nowMs: () => number) {
    this.#options = options
    this.#nowMs = nowMs
  }

  /** What we show; another one when it was renewed. */
  get shown(): string | undefined {
    return this.#options.identity()?.chainPem
  }

  /** @throws {Error} As long as there is no certificate. */
  get server(): ServerTlsContext {
    return this.#contexts().server
  }

  /** @throws {Error} As `server`. */
  get client(): ClientTlsContext {
    return this.#contexts().client
  }

  /** Why whoever is at the other end is no broker of ours; undefined: it is one. */
  refusal(leg: Leg): string | undefined {
    const names = leg.socket.tls?.peer?.uriSans
    if (names === undefined) {
      return 'WEFT-403 brokers show a client certificate, over TLS; this connection has none'
    }
    const [name = ''] = names
    if (names.length === 1 && this.#isPeer(name)) return undefined
    return `WEFT-403 ${names.join(', ') || 'a certificate without SPIFFE ID'} may not be a broker: --cluster-peer names those that may`
  }

  #isPeer(name: string): boolean {
    const { peers, identity } = this.#options
    return peers.length === 0 ? name === identity()?.id : peers.includes(name)
  }

  #contexts(): Contexts {
    const identity = this.#options.identity()
    if (identity === undefined) {
      throw new Error('Cannot speak to other brokers: no certificate came yet')
    }
    const made = this.#made
    if (
      made !== undefined &&
      made.identity.chainPem === identity.chainPem &&
      made.identity.roots === identity.roots
    ) {
      return made
    }
    const { chainPem, keyPem, roots } = identity
    const server = openServerTls(
      { chainPem, keyPem, roots, requiresCertificate: true },
      this.#nowMs,
    )
    const client = clientTlsContext({
      parameters: {},
      certificates: [{ chainPem, keyPem }],
      trust: { caPem: pemOf(roots) },
      alpn: [],
      names: ({ uriSans }) => uriSans.length === 1 && this.#isPeer(uriSans[0] ?? ''),
      distrust: (certificate: X509Certificate) => {
        const verified = verifySvid(chainOf(certificate), roots, this.#nowMs())
        return verified.ok ? undefined : verified.problem
      },
    })
    this.#made = { identity, server, client }
    return this.#made
  }
}

function pemOf(roots: Roots): string {
  const all = [...roots.values()].flat()
  return all.map((der) => writePem('CERTIFICATE', der)).join('')
}

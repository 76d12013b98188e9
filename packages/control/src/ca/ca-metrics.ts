/** What the CA counts, under the names that Istio's dashboards read. */
import type { MetricsRegistry, ScalarMetric } from '@weft/telemetry'

export interface CaGauges {
  /** Wall clock, milliseconds; `undefined`: there is no CA. */
  rootNotAfterMs(): number | undefined
  signerNotAfterMs(): number | undefined
  /** How many holders the rotation waits for. */
  waiting(): number
  bundleVersion(): number
  nowMs(): number
}

const MAX_SERIES = 20

export class CaMetrics {
  readonly #count: Readonly<Record<CaCounter, () => void>>
  readonly #signErrors: ScalarMetric

  constructor(registry: MetricsRegistry, gauges: CaGauges) {
    const table = (...labels: string[]) =>
      registry.table({ labels, maxSeries: MAX_SERIES, expiryMs: 0 })
    const counter = (name: string, help: string) => {
      const metric = registry.counter(name, help, table())
      const slot = metric.table.slot([])
      return () => metric.add(slot, 1)
    }
    const gauge = (name: string, help: string, read: () => number) => {
      const metric = registry.gauge(name, help, table())
      const slot = metric.table.slot([])
      registry.onCollect(() => metric.set(slot, read()))
    }
    this.#count = {
      request: counter('citadel_server_csr_count', 'Requests for certificates.'),
      unauthenticated: counter(
        'citadel_server_authentication_failure_count',
        'Requests for certificates without a good proof of who asks.',
      ),
      unreadable: counter(
        'citadel_server_csr_parsing_err_count',
        'Requests for certificates that cannot be read.',
      ),
      issued: counter(
        'citadel_server_success_cert_issuance_count',
        'Certificates that were issued.',
      ),
      limited: counter(
        'weft_ca_csr_limited_count',
        'Requests for certificates refused because of a rate limit.',
      ),
    }
    this.#signErrors = registry.counter(
      'citadel_server_csr_sign_err_count',
      'Requests for certificates that could not be signed, by reason.',
      table('error'),
    )
    const seconds = (read: () => number | undefined) => () => (read() ?? 0) / 1_000
    const left = (read: () => number | undefined) => () => {
      const atMs = read()
      return atMs === undefined ? 0 : (atMs - gauges.nowMs()) / 1_000
    }
    for (const [part, name, read] of [
      ['root', 'root certificate', gauges.rootNotAfterMs],
      ['cert_chain', 'signing certificate', gauges.signerNotAfterMs],
    ] as const) {
      gauge(
        part === 'root'
          ? 'citadel_server_root_cert_expiry_timestamp'
          : 'citadel_server_cert_chain_expiry_timestamp',
        `When the ${name} expires, seconds since 1970.`,
        seconds(read),
      )
      gauge(
        part === 'root'
          ? 'citadel_server_root_cert_expiry_seconds'
          : 'citadel_server_cert_chain_expiry_seconds',
        `Seconds until the ${name} expires; negative: it has.`,
        left(read),
      )
    }
    gauge('weft_ca_rotation_waiting', 'Proxies that the rotation waits for.', gauges.waiting)
    gauge('weft_ca_bundle_version', 'Version of the trust bundle.', gauges.bundleVersion)
  }

  count(what: CaCounter): void {
    this.#count[what]()
  }

  notSigned(reason: 'csr_error' | 'ca_error'): void {
    this.#signErrors.add(this.#signErrors.table.slot([reason]), 1)
  }
}

export type CaCounter = 'request' | 'unauthenticated' | 'unreadable' | 'issued' | 'limited'

/** TLS handshakes of one listener or cluster, under Envoy's names. */
import { PeerRefused, type TlsFacts } from '@weft/net'
import type { FilterStats, StatOwner } from '../exchange/contract.ts'

export interface HandshakeStats {
  /** @param asked A certificate of the peer was asked for. */
  done(facts: TlsFacts | undefined, asked: boolean): void
  failed(error: Error | undefined): void
}

const UNCOUNTED: HandshakeStats = { done() {}, failed() {} }

/** OpenSSL ends the handshake itself. */
const NO_CERTIFICATE = 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE'
/** There was no connection to shake hands on. */
const UNREACHED: ReadonlySet<string> = new Set([
  ...['ECONNREFUSED', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL'],
])

const known = new WeakMap<FilterStats, Map<string, HandshakeStats>>()

const REFUSALS = {
  noCertificate: 'ssl.fail_verify_no_cert',
  untrusted: 'ssl.fail_verify_error',
  name: 'ssl.fail_verify_san',
  pin: 'ssl.fail_verify_cert_hash',
} as const satisfies Record<PeerRefused['reason'], string>

export function handshakeStats(stats: FilterStats | undefined, owner: StatOwner): HandshakeStats {
  if (stats === undefined) return UNCOUNTED
  let owners = known.get(stats)
  if (owners === undefined) {
    owners = new Map()
    known.set(stats, owners)
  }
  const key = `${owner.kind} ${owner.name}`
  const found = owners.get(key) ?? count(stats, owner)
  owners.set(key, found)
  return found
}

function count(stats: FilterStats, owner: StatOwner): HandshakeStats {
  const counters = new Map<string, (amount?: number) => void>()
  const add = (leaf: string): void => {
    const counter = counters.get(leaf) ?? stats.counter(owner, leaf)
    counters.set(leaf, counter)
    counter()
  }
  return {
    done(facts, asked) {
      add('ssl.handshake')
      if (facts?.resumed === true) add('ssl.session_reused')
      if (!asked || facts?.peer === undefined) add('ssl.no_certificate')
    },
    failed(error) {
      const code = (error as NodeJS.ErrnoException | undefined)?.code ?? ''
      if (UNREACHED.has(code)) return
      if (code === NO_CERTIFICATE) {
        add(REFUSALS.noCertificate)
        return
      }
      add(error instanceof PeerRefused ? REFUSALS[error.reason] : 'ssl.connection_error')
    },
  }
}

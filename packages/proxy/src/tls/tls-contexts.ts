/**
 * TLS settings with the secrets they name, ready for handshakes. A context is made
 * at first use and stays while its settings and secrets are the same objects; a
 * secret that changes makes a new one for handshakes from then on.
 */
import { createRequire } from 'node:module'
import type { DownstreamTls, Secret, SubjectAltNameMatch, UpstreamTls } from '@weft/model'
import {
  type ClientTlsContext,
  clientTlsContext,
  type ServerTlsContext,
  serverTlsContext,
} from '@weft/net'
import { MESH_ROOTS } from '../identity/local-secrets.ts'
import { namesRule } from './names-rule.ts'

type Secrets = ReadonlyMap<string, Secret>

type MeshDistrust = typeof import('../identity/mesh-peers.ts').meshDistrust
const require = createRequire(import.meta.url)

/** Loaded when the first secret needs it: what reads certificates is a hundred modules. */
function meshPeers(): { readonly meshDistrust: MeshDistrust } {
  return require('../identity/mesh-peers.ts')
}

interface Made<Context> {
  readonly secrets: readonly Secret[]
  readonly context: Context
}

export class TlsContexts {
  #secrets: Secrets = new Map()
  readonly #servers = new WeakMap<DownstreamTls, Made<ServerTlsContext>>()
  readonly #clients = new WeakMap<UpstreamTls, Made<ClientTlsContext>>()

  /** Those of the newest configuration. */
  update(secrets: Secrets): void {
    this.#secrets = secrets
  }

  /** `undefined` while a secret it needs has not come. */
  server(tls: DownstreamTls): ServerTlsContext | undefined {
    const secrets = this.#find([...tls.certificates, tls.validation])
    if (secrets === undefined) return undefined
    const known = this.#servers.get(tls)
    if (known !== undefined && isSame(known.secrets, secrets)) return known.context
    const asks = tls.requireClientCertificate ? 'required' : 'optional'
    const context = serverTlsContext(
      { ...parts(tls, secrets), names: namesRule(tls.subjectAltNames ?? []) },
      tls.validation === undefined && !tls.requireClientCertificate ? 'none' : asks,
    )
    this.#servers.set(tls, { secrets, context })
    return context
  }

  /** As `server`. */
  client(tls: UpstreamTls): ClientTlsContext | undefined {
    const secrets = this.#find([tls.certificate, tls.validation])
    if (secrets === undefined) return undefined
    const known = this.#clients.get(tls)
    if (known !== undefined && isSame(known.secrets, secrets)) return known.context
    const names: SubjectAltNameMatch[] = tls.subjectAltNames.map((value) => ({
      type: 'any',
      value: { kind: 'exact', value, ignoreCase: false },
    }))
    const rule = namesRule([...names, ...(tls.subjectAltNameMatches ?? [])])
    const context = clientTlsContext({
      ...parts(tls, secrets),
      // Names that nobody vouches for say nothing: without a CA they are not looked at.
      names: tls.validation === undefined ? undefined : rule,
    })
    this.#clients.set(tls, { secrets, context })
    return context
  }

  #find(names: readonly (string | undefined)[]): readonly Secret[] | undefined {
    const secrets: Secret[] = []
    for (const name of names) {
      if (name === undefined) continue
      const secret = this.#secrets.get(name)
      if (secret === undefined) return undefined
      secrets.push(secret)
    }
    return secrets
  }
}

function isSame(a: readonly Secret[], b: readonly Secret[]): boolean {
  return a.length === b.length && a.every((secret, i) => secret === b[i])
}

function parts(tls: DownstreamTls | UpstreamTls, secrets: readonly Secret[]) {
  const trust = secrets.find((secret) => secret.kind === 'validation')
  return {
    parameters: tls,
    certificates: secrets.filter((secret) => secret.kind === 'certificate'),
    trust: trust === undefined ? undefined : withAllRoots(trust),
    // Whoever is trusted by the mesh's roots is a workload, by the rules for those.
    ...(trust?.name === MESH_ROOTS ? { distrust: meshPeers().meshDistrust(trust) } : {}),
    alpn: tls.alpn,
    spki: tls.verifySpki,
    hashes: tls.verifyHash,
  }
}

/** OpenSSL knows of no trust domains: it checks the chain, and what is on top of it whom it is of. */
function withAllRoots<T extends Extract<Secret, { readonly kind: 'validation' }>>(trust: T): T {
  const { trustDomains } = trust
  if (trustDomains === undefined) return trust
  return { ...trust, caPem: [...new Set(trustDomains.map(({ caPem }) => caPem))].join('') }
}

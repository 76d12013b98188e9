/** Another CA that signs for this mesh: where it is, how it is known, and what proves who asks it. */
import type { SocketAddress } from '@weft/model'

export interface UpstreamCaOptions {
  readonly address: SocketAddress
  /** The DNS name that its certificate must have; absent: a control plane's. */
  readonly serverName?: string
  /** PEM file; absent: `root-cert.pem` of the credentials' folder. Read at each call, like all files here. */
  readonly rootsFile?: string
  readonly credentials: UpstreamCredentials
}

type UpstreamCredentials =
  | { readonly kind: 'token'; readonly path: string }
  /** With `cert-chain.pem` and `key.pem`, as `weft agent --cert-dir` writes them. */
  | { readonly kind: 'certificate'; readonly folder: string }

/** What the user may say of the mesh's CA. */
import type { CaPolicy } from '@weft/identity'
import type { SocketAddress } from '@weft/model'
import type { XdsTls } from '@weft/xds'
import type { BrokerAccount, Delegate } from './delegates.ts'
import type { FederatedDomain } from './federation/federation-options.ts'
import type { TokenIssuer } from './token-issuers.ts'
import type { UpstreamCaOptions } from './upstream/upstream-options.ts'

export interface CaOptions {
  /** Keeps the CA and the join tokens; absent: they end with the process. */
  readonly folder?: string
  /** Seals the CA's keys in the folder. */
  readonly passphrase?: string
  /** The user's own CA: a folder with Istio's `cacerts` files. */
  readonly ownCaFolder?: string
  /** Signs in place of a CA of this mesh's own. */
  readonly upstream?: UpstreamCaOptions
  /** Control planes for which this one is the upstream CA. */
  readonly delegates?: readonly Delegate[]
  /** Brokers of other machines, which ask for certificates of those who have dialled in to them. */
  readonly brokers?: readonly BrokerAccount[]
  readonly issuers?: readonly TokenIssuer[]
  /** Where the secret goes by which this machine's user joins without a setting; absent: nowhere. */
  readonly bootstrapFolder?: string
  readonly policy?: Partial<CaPolicy>
  /** Trust domains besides the own one. */
  readonly federation?: readonly FederatedDomain[]
  /** Where others find this mesh's bundle; absent: nowhere. */
  readonly bundleEndpoint?: BundleEndpointOptions
  readonly limits?: CaLimits
}

interface BundleEndpointOptions {
  readonly address: SocketAddress
  /** A certificate for the server's name (`https_web`); absent: the control plane's SVID. */
  readonly tls?: XdsTls
}

interface CaLimits {
  /** Bad proofs per address. */
  readonly failureBurst?: number
  readonly failuresPerSecond?: number
  /** Certificates per identity. */
  readonly issueBurst?: number
  readonly issuesPerSecond?: number
}

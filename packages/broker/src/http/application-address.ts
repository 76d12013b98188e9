import type { SocketAddress } from '@weft/model'

/** Where an application listens. */
export type ApplicationAddress = SocketAddress | { readonly path: string }

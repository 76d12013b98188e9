/** Where a socket listens or connects to. */
export interface SocketAddress {
  /** IPv4 or IPv6 literal without brackets; for DNS clusters a host name. */
  readonly host: string
  /** 0 to 65535; 0 asks the kernel for a free one (listeners only). */
  readonly port: number
}

/** `10.0.0.1:80`, `[::1]:80`. */
export function renderAddress(address: SocketAddress): string {
  return address.host.includes(':')
    ? `[${address.host}]:${address.port}`
    : `${address.host}:${address.port}`
}

/** Where a socket listens or connects to. */
export interface SocketAddress {
  /**
   * IPv4 or IPv6 literal without brackets; for DNS clusters a host name; for a Unix socket its
   * absolute path, or `@` and a name of Linux's abstract ones, with the port 0.
   */
  readonly host: string
  /** 0 to 65535; 0 asks the kernel for a free one (listeners only). */
  readonly port: number
}

/** What a host of a Unix socket begins with. */
const UNIX = /^[/@]/

export function isUnixSocket({ host }: SocketAddress): boolean {
  return UNIX.test(host)
}

const URI_PREFIX = 'unix://'

/** `unix:///run/app.sock`, as Istio's fields have it; `undefined`: something else. */
export function unixSocketOf(text: string): SocketAddress | undefined {
  return text.startsWith(URI_PREFIX) ? { host: text.slice(URI_PREFIX.length), port: 0 } : undefined
}

/** `10.0.0.1:80`, `[::1]:80`, `/run/app.sock`. */
export function renderAddress(address: SocketAddress): string {
  if (isUnixSocket(address)) return address.host
  return address.host.includes(':')
    ? `[${address.host}]:${address.port}`
    : `${address.host}:${address.port}`
}

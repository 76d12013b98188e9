/** Who the client is, as far as proxies in front are believed (Envoy's `x-forwarded-for` rules; R44). */
import { parseIp } from '@weft/base'
import type { HttpConnectionManager } from '@weft/model'

/**
 * At the edge (`useRemoteAddress`) the peer stands for itself and each believed hop is one entry
 * further back; behind it the peer is a proxy of the mesh, whose last entry is the client.
 *
 * @param forwardedFor Lines of `x-forwarded-for`; read when they matter only.
 */
export function clientAddress(
  { useRemoteAddress, xffTrustedHops }: HttpConnectionManager,
  peer: string,
  forwardedFor: () => readonly string[],
): string {
  const back = useRemoteAddress ? xffTrustedHops : xffTrustedHops + 1
  if (back === 0) return peer
  const entries = forwardedFor().flatMap((line) => line.split(','))
  const text = entries.at(-back)
  if (entries.length < back || text === undefined) return peer
  const address = withoutBlanks(text)
  // What is no address, or has a port, says nothing that can be held against a range.
  return parseIp(address) === undefined ? peer : address
}

/** Spaces and tabs only. */
function withoutBlanks(text: string): string {
  return text.replace(/^[ \t]+/, '').replace(/[ \t]+$/, '')
}

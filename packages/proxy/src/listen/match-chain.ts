/**
 * Which filter chain a connection is for (Envoy `FilterChainMatch`): the most
 * specific one in Envoy's order of criteria.
 *
 *     destination port ─► destination address ─► server name ─► transport
 *       ─► application protocol ─► source address
 */

import { BlockList, isIP } from 'node:net'
import type { FilterChainMatch, SocketAddress } from '@weft/model'
import type { Socket } from '@weft/net'
import type { ClientHello, FirstBytes } from '@weft/wire'
import type { ChainRuntime, ListenerRuntime } from '../exchange/contract.ts'

/** What is known of a connection when its chain is looked for. */
export interface ConnectionFacts {
  readonly destination: SocketAddress
  readonly source: SocketAddress
  /** `undefined` before the first bytes were looked at. */
  readonly transport: 'raw_buffer' | 'tls' | undefined
  /** Asked for in a ClientHello; lower case. */
  readonly serverName?: string | undefined
  /** Offered in a ClientHello, in the client's order; else what was detected: `http/1.1`, `h2c`. */
  readonly protocols: readonly string[]
}

/** @param protocol `undefined`: the first bytes were not looked at. */
export function connectionFacts(
  socket: Pick<Socket, 'localAddress' | 'remoteAddress'>,
  protocol: FirstBytes | undefined,
  hello: ClientHello | undefined,
): ConnectionFacts {
  return {
    destination: socket.localAddress,
    source: socket.remoteAddress,
    transport: protocol === undefined ? undefined : protocol === 'tls' ? 'tls' : 'raw_buffer',
    serverName: hello?.serverName,
    protocols:
      hello?.alpn ?? (protocol === 'http1' ? ['http/1.1'] : protocol === 'http2' ? ['h2c'] : []),
  }
}

/** Whether choosing a chain depends on what the client sends first. */
export function needsDetection(runtime: ListenerRuntime): boolean {
  if (runtime.defaultChain?.tls !== undefined) return true
  return runtime.chains.some(
    ({ match, tls }) =>
      tls !== undefined ||
      match.applicationProtocols.length > 0 ||
      match.serverNames.length > 0 ||
      match.transportProtocol !== undefined,
  )
}

export function matchChain(
  runtime: ListenerRuntime,
  facts: ConnectionFacts,
): ChainRuntime | undefined {
  // One chain that takes everything is what most listeners have.
  const [only] = runtime.chains
  if (runtime.chains.length === 1 && only !== undefined && takesAll(only.match)) return only
  let best: ChainRuntime | undefined
  let bestScores: readonly number[] = []
  for (const chain of runtime.chains) {
    const scores = scoresOf(chain.match, facts)
    if (scores === undefined) continue
    if (best === undefined || isHigher(scores, bestScores)) {
      best = chain
      bestScores = scores
    }
  }
  return best ?? runtime.defaultChain
}

function takesAll(match: FilterChainMatch): boolean {
  return (
    match.destinationPort === undefined &&
    match.transportProtocol === undefined &&
    match.destinationPrefixes.length === 0 &&
    match.sourcePrefixes.length === 0 &&
    match.serverNames.length === 0 &&
    match.applicationProtocols.length === 0
  )
}

/** How specific the match is, by criterion; `undefined` when it does not match. */
function scoresOf(match: FilterChainMatch, facts: ConnectionFacts): number[] | undefined {
  const port = match.destinationPort
  if (port !== undefined && port !== facts.destination.port) return undefined
  const destination = prefixScore(match.destinationPrefixes, facts.destination.host)
  const source = prefixScore(match.sourcePrefixes, facts.source.host)
  if (destination < 0 || source < 0) return undefined
  const server = serverNameScore(match.serverNames, facts.serverName)
  if (server < 0) return undefined
  const transport = match.transportProtocol
  if (transport !== undefined && transport !== facts.transport) return undefined
  const protocols = match.applicationProtocols
  const offered = facts.protocols.findIndex((protocol) => protocols.includes(protocol))
  if (protocols.length > 0 && offered < 0) return undefined
  return [
    port === undefined ? 0 : 1,
    destination,
    server,
    transport === undefined ? 0 : 1,
    // What the client would rather speak comes first.
    protocols.length === 0 ? 0 : facts.protocols.length - offered,
    source,
  ]
}

function isHigher(a: readonly number[], b: readonly number[]): boolean {
  for (const [i, score] of a.entries()) {
    const other = b[i] ?? 0
    if (score !== other) return score > other
  }
  return false
}

/** An exact name before the longest wildcard (`*.example.com`, any depth), that before none; -1: no match. */
export function serverNameScore(names: readonly string[], wanted: string | undefined): number {
  if (names.length === 0) return 0
  if (wanted === undefined) return -1
  let best = -1
  for (const pattern of names) {
    const name = pattern.toLowerCase()
    if (name === wanted) return Number.POSITIVE_INFINITY
    if (name.startsWith('*.') && wanted.endsWith(name.slice(1))) best = Math.max(best, name.length)
  }
  return best
}

/** Length of the longest prefix that holds the address plus one; 0 for no criterion, -1 for no match. */
function prefixScore(prefixes: readonly string[], host: string): number {
  if (prefixes.length === 0) return 0
  const family = isIP(host)
  // A Unix socket is in no range.
  if (family === 0) return -1
  let best = -1
  for (const prefix of prefixes) {
    const { list, bits } = parsedPrefix(prefix)
    if (bits + 1 > best && list.check(host, family === 6 ? 'ipv6' : 'ipv4')) best = bits + 1
  }
  return best
}

const parsed = new Map<string, { readonly list: BlockList; readonly bits: number }>()
const MAX_PARSED = 4_096

function parsedPrefix(prefix: string) {
  const known = parsed.get(prefix)
  if (known !== undefined) return known
  const [address = '', length] = prefix.split('/')
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
  const bits = length === undefined ? (family === 'ipv6' ? 128 : 32) : Number(length)
  const list = new BlockList()
  list.addSubnet(address, bits, family)
  if (parsed.size >= MAX_PARSED) parsed.clear()
  const entry = { list, bits }
  parsed.set(prefix, entry)
  return entry
}

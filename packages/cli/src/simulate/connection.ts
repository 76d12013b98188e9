/**
 * From a dialled address to a filter chain, without sockets: which listener the
 * kernel's redirection and the bind addresses lead to, then Envoy's order of
 * filter chain criteria.
 */
import { BlockList, isIP, isIPv6 } from 'node:net'
import type { FilterChain, Listener } from '@weft/model'
import type { Call } from './call.ts'

const WILDCARDS: readonly string[] = ['0.0.0.0', '::', '[::]']
/** What takes connections that no other listener is for (Istio's names). */
const CATCH_ALL = { outbound: 'virtualOutbound', inbound: 'virtualInbound' } as const

/** @param port Where the connection arrives: the call's, unless a gateway binds another one for it. */
export function findListener(
  listeners: Iterable<Listener>,
  call: Call,
  port: number,
): Listener | undefined {
  const all = [...listeners].filter((listener) => fitsDirection(listener, call.direction, port))
  const isCatchAll = (listener: Listener) => listener.name === CATCH_ALL[call.direction]
  if (call.direction === 'inbound') {
    const byName = all.find(isCatchAll)
    if (byName !== undefined) return byName
  }
  const onPort = all.filter((listener) => listener.address.port === port && !isCatchAll(listener))
  return (
    onPort.find((listener) => listener.address.host === call.address) ??
    onPort.find((listener) => isWildcardFor(listener.address.host, call.address)) ??
    // Captured ports are named by the family of the proxy's own address and serve both.
    onPort.find(({ address, bindToPort }) => !bindToPort && WILDCARDS.includes(address.host)) ??
    all.find(isCatchAll)
  )
}

function fitsDirection(listener: Listener, direction: Call['direction'], port: number): boolean {
  const isInbound = listener.direction === 'inbound' || listener.name === CATCH_ALL.inbound
  // Whoever dials the proxy's own inbound port reaches it, and is turned away there.
  if (isInbound && direction === 'outbound' && listener.address.port === port) return true
  return isInbound === (direction === 'inbound')
}

function isWildcardFor(host: string, address: string): boolean {
  return WILDCARDS.includes(host) && (host === '0.0.0.0' ? !isIPv6(address) : true)
}

/** The chain Envoy would take, the default chain, or `undefined`: the connection is closed. */
export function findFilterChain(
  listener: Listener,
  call: Call,
  port: number,
): FilterChain | undefined {
  // Each criterion keeps only the chains with its most specific matching value,
  // and never goes back: that is Envoy's order and the reason for its surprises.
  let chains: readonly FilterChain[] = listener.filterChains
  for (const criterion of CRITERIA) chains = narrow(chains, (chain) => criterion(chain, call, port))
  return chains[0] ?? listener.defaultFilterChain
}

/** How well a chain fits: `undefined` not at all, 0 does not ask, more is more specific. */
type Criterion = (chain: FilterChain, call: Call, port: number) => number | undefined

const CRITERIA: readonly Criterion[] = [
  ({ match }, _call, port) =>
    match.destinationPort === undefined ? 0 : match.destinationPort === port ? 1 : undefined,
  ({ match }, call) => longestPrefix(match.destinationPrefixes, call.address),
  ({ match }, call) => serverNameRank(match.serverNames, call.sni),
  ({ match }, call) =>
    match.transportProtocol === undefined
      ? 0
      : match.transportProtocol === (call.tls === 'plaintext' ? 'raw_buffer' : 'tls')
        ? 1
        : undefined,
  ({ match }, call) => {
    if (match.applicationProtocols.length === 0) return 0
    const spoken = applicationProtocols(call)
    return match.applicationProtocols.some((name) => spoken.includes(name)) ? 1 : undefined
  },
  ({ match }, call) => longestPrefix(match.sourcePrefixes, call.sourceIp),
]

function narrow(
  chains: readonly FilterChain[],
  rankOf: (chain: FilterChain) => number | undefined,
): readonly FilterChain[] {
  const ranks = chains.map(rankOf)
  const best = Math.max(-1, ...ranks.map((rank) => rank ?? -1))
  return best < 0 ? [] : chains.filter((_, i) => ranks[i] === best)
}

/** What the first bytes say (Envoy's HTTP inspector), or the client's ALPN. */
function applicationProtocols(call: Call): readonly string[] {
  if (call.tls !== 'plaintext') return call.alpn
  if (call.protocol === 'tcp') return []
  return call.protocol === 'http2' ? ['h2c'] : ['http/1.1', 'http/1.0']
}

function serverNameRank(names: readonly string[], sni: string): number | undefined {
  if (names.length === 0) return 0
  let best: number | undefined
  for (const name of names) {
    const rank = name === sni ? 10_000 : wildcardRank(name, sni)
    if (rank !== undefined) best = Math.max(best ?? 0, rank)
  }
  return best
}

function wildcardRank(name: string, sni: string): number | undefined {
  if (name === '*') return 1
  return name.startsWith('*.') && sni.endsWith(name.slice(1)) ? name.length : undefined
}

/** Length of the longest matching prefix plus one. */
function longestPrefix(prefixes: readonly string[], address: string): number | undefined {
  if (prefixes.length === 0) return 0
  let best: number | undefined
  for (const prefix of prefixes) {
    const [network = '', length] = prefix.split('/')
    const family = isIPv6(network) ? 'ipv6' : 'ipv4'
    const bits = length === undefined ? (family === 'ipv6' ? 128 : 32) : Number(length)
    if (isIP(address) !== isIP(network) || isIP(network) === 0) continue
    const block = new BlockList()
    block.addSubnet(network, bits, family)
    if (block.check(address, family)) best = Math.max(best ?? 0, bits + 1)
  }
  return best
}

/**
 * Two chains that match the same make a whole listener invalid, and so do two of
 * one name. What several claim is the first one's: later ones keep only what is
 * left to them, range by range and server name by server name.
 */
import { parseCidr } from '@weft/base'
import type { FilterChain } from '@weft/model'

/** Stands for a list without entries, which matches everything. */
const ANYTHING = ''

export function distinctChains(chains: readonly FilterChain[]): readonly FilterChain[] {
  const taken = new Set<string>()
  const names = new Set<string>()
  return chains.flatMap((chain) =>
    partsOf(chain, taken).map((match) => ({ ...chain, match, name: freeName(chain.name, names) })),
  )
}

/** The chain's match without what is taken: one part for all ranges that keep the same server names. */
function partsOf({ match }: FilterChain, taken: Set<string>): readonly FilterChain['match'][] {
  const { serverNames, destinationPrefixes, ...rest } = match
  const others = JSON.stringify(rest)
  const ranges = new Map(
    (destinationPrefixes.length === 0 ? [ANYTHING] : destinationPrefixes).map((text) => [
      rangeKey(text),
      text,
    ]),
  )
  const wanted = new Set(
    serverNames.length === 0 ? [ANYTHING] : serverNames.map((name) => name.toLowerCase()),
  )
  const byNames = new Map<string, { readonly names: string[]; readonly prefixes: string[] }>()
  for (const [key, text] of ranges) {
    const names = [...wanted].filter((name) => !taken.has(`${key} ${name} ${others}`))
    if (names.length === 0) continue
    for (const name of names) taken.add(`${key} ${name} ${others}`)
    const part = byNames.get(names.join(' ')) ?? { names, prefixes: [] }
    part.prefixes.push(text)
    byNames.set(names.join(' '), part)
  }
  return [...byNames.values()].map(({ names, prefixes }) => ({
    ...match,
    serverNames: names.filter((name) => name !== ANYTHING),
    destinationPrefixes: prefixes.filter((prefix) => prefix !== ANYTHING),
  }))
}

/** Equal for ranges that are written differently and mean the same addresses. */
function rangeKey(text: string): string {
  const cidr = parseCidr(text)
  if (cidr === undefined) return text
  const network = cidr.network.map((octet, i) => {
    const bits = Math.min(8, Math.max(0, cidr.bits - i * 8))
    return octet & (0xff << (8 - bits)) & 0xff
  })
  return `${network.join('.')}/${cidr.bits}`
}

function freeName(name: string, names: Set<string>): string {
  let free = name
  for (let i = 2; names.has(free); i++) free = `${name}-${i}`
  names.add(free)
  return free
}

/**
 * The names by which a caller may mean a service: as short as its own namespace
 * allows, the virtual addresses, and what ExternalNames call it.
 */
import { isIP } from 'node:net'
import type { VirtualHost } from '@weft/model'
import type { MeshService } from '../../registries/registry.ts'
import type { ProxyScope } from '../scope.ts'
import { virtualHost } from './default-route.ts'

export interface ServiceNames {
  /** Its own; nobody else's short form takes it away. */
  readonly primary: readonly string[]
  readonly aliases: readonly string[]
}

export function serviceNames(scope: ProxyScope, service: MeshService): ServiceNames {
  const aliases = shortNames(scope, service)
  for (const address of service.addresses) {
    if (isIP(address) === 4) aliases.push(address)
    else if (isIP(address) === 6) aliases.push(`[${address}]`)
  }
  // Pods of a headless service are called `<pod>.<service>…`.
  if (service.resolution === 'headless') aliases.push(`*.${service.host}`)
  for (const other of scope.aliasesOf.get(service.host) ?? []) {
    aliases.push(other.host, ...shortNames(scope, other))
  }
  return { primary: [service.host], aliases }
}

function shortNames({ proxy, domain }: ProxyScope, service: MeshService): string[] {
  const { host, name, namespace } = service
  const inNamespace = `${name}.${namespace}`
  if (host !== `${inNamespace}.svc.${domain}`) return []
  const names = [inNamespace, `${inNamespace}.svc`]
  return namespace === proxy.namespace ? [name, ...names] : names
}

/** With the port, and without it where that is what clients leave out. */
export function withPort(names: readonly string[], port: number): readonly string[] {
  return names.flatMap((name) => (port === 80 ? [name, `${name}:80`] : [`${name}:${port}`]))
}

export interface HostClaim {
  readonly host: VirtualHost
  readonly primary: readonly string[]
  readonly aliases: readonly string[]
}

/**
 * Gives every domain to one virtual host, because a table with a domain twice is
 * refused as a whole: proper names first, then aliases in the order of claims.
 */
export function settleDomains(claims: readonly HostClaim[]): readonly VirtualHost[] {
  const taken = new Map<string, VirtualHost>()
  for (const pick of ['primary', 'aliases'] as const) {
    for (const claim of claims) {
      for (const name of claim[pick]) if (!taken.has(name)) taken.set(name, claim.host)
    }
  }
  return claims.flatMap(({ host, primary, aliases }) => {
    const domains = [...primary, ...aliases].filter((name) => taken.get(name) === host)
    if (domains.length === 0) return []
    return [{ ...virtualHost(host.name, [...new Set(domains)], host.routes, host.origins) }]
  })
}

/** Random AuthorizationPolicies and callers, from one seed. */
import type { Call, Operation, Policy, Rule, Source } from './authorization-model.ts'

export const IDENTITIES = [
  undefined,
  { domain: 'cluster.local', namespace: 'shop', account: 'web' },
  { domain: 'cluster.local', namespace: 'default', account: 'cart' },
  { domain: 'other.example', namespace: 'shop-eu', account: 'web' },
] as const
export const PATHS = [
  '/',
  '/a',
  '/a/b',
  '/a/b/c.html',
  '/admin',
  '/admin/users?all=1',
  '/x%20y',
  '/A',
]
export const HEADERS: readonly Call['headers'][] = [
  {},
  { 'x-tier': ['gold'] },
  { 'x-tier': ['gold', 'lead'] },
  { 'x-tier': ['lead', 'golden'] },
]

export interface RandomAuthorization {
  policies(): readonly Policy[]
  /** Sixteen of them. */
  calls(): readonly Call[]
}

export function randomAuthorization(random: () => number): RandomAuthorization {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const maybe = <T>(share: number, make: () => T): T | undefined =>
    random() < share ? make() : undefined
  const few = <T>(list: readonly T[]): T[] =>
    Array.from({ length: random() < 0.7 ? 1 : 2 }, () => pick(list))

  function source(): Source {
    const principals = [
      '*',
      'cluster.local/ns/shop/sa/web',
      '*/sa/web',
      'cluster.local/*',
      '*/sa/x',
    ]
    const fields = {
      principals: maybe(0.35, () => few(principals)),
      notPrincipals: maybe(0.2, () => few(principals)),
      trustDomains: maybe(0.1, () => few(['cluster.local', 'other.*', '*.example'])),
      ipBlocks: maybe(0.15, () => few(['127.0.0.0/8', '10.0.0.0/8'])),
      remoteIpBlocks: maybe(0.15, () => few(['203.0.113.0/24', '127.0.0.1'])),
      notRemoteIpBlocks: maybe(0.15, () => few(['203.0.113.7', '127.0.0.1/32'])),
      namespaces: maybe(0.25, () => few(['shop', 'shop*', '*-eu', '*', 'default'])),
      notNamespaces: maybe(0.15, () => few(['shop', 'default'])),
    }
    const accounts = maybe(0.15, () => few(['web', 'cart', 'shop/web', 'default/cart']))
    return accounts === undefined ? defined(fields) : { serviceAccounts: accounts }
  }

  function operation(): Operation {
    const paths = [
      '/a',
      '/a/*',
      '*.html',
      '*',
      '/admin*',
      '/{*}/b',
      '/a/{**}',
      '/{*}/{*}/{**}',
      '/x y',
    ]
    return defined({
      hosts: maybe(0.2, () =>
        few(['cart.example', 'CART.example', '*.example', 'cart.*', 'other']),
      ),
      methods: maybe(0.4, () => few(['GET', 'POST', '*', 'G*'])),
      notMethods: maybe(0.15, () => few(['DELETE', 'POST'])),
      paths: maybe(0.6, () => few(paths)),
      notPaths: maybe(0.2, () => few(paths)),
    })
  }

  /** Without what is not said, and never empty. */
  function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
    const entries = Object.entries(fields).filter(([, value]) => value !== undefined)
    const kept = entries.length === 0 ? Object.entries(fields).slice(0, 1) : entries
    return Object.fromEntries(kept.map(([key, value]) => [key, value ?? ['*']])) as {
      [K in keyof T]?: Exclude<T[K], undefined>
    }
  }

  function rule(): Rule {
    const condition = () => {
      const key = pick(['request.headers[X-Tier]', 'source.namespace', 'remote.ip'])
      const values = {
        'request.headers[X-Tier]': ['gold', 'gold*', '*', '*d'],
        'source.namespace': ['shop', '*'],
        'remote.ip': ['203.0.113.0/24', '127.0.0.1'],
      }[key] as string[]
      return random() < 0.6 ? { key, values: few(values) } : { key, notValues: few(values) }
    }
    const from = maybe(0.6, () => few([0]).map(() => ({ source: source() })))
    const to = maybe(0.6, () => few([0]).map(() => ({ operation: operation() })))
    const when = maybe(0.3, () => [condition()])
    return {
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
      ...(when === undefined ? {} : { when }),
    }
  }

  function policies(): readonly Policy[] {
    return Array.from({ length: 1 + Math.floor(random() * 3) }, () => {
      const action = pick(['ALLOW', 'ALLOW', 'DENY'] as const)
      if (action === 'ALLOW' && random() < 0.05) return { action }
      return { action, rules: few([0]).map(rule) }
    })
  }

  function calls(): readonly Call[] {
    return Array.from({ length: 16 }, (_, i) => {
      const identity = IDENTITIES[i % IDENTITIES.length]
      const remoteIp = pick(['127.0.0.1', '203.0.113.7', '203.0.113.9'])
      return {
        ...(identity === undefined ? {} : { identity }),
        method: pick(['GET', 'POST', 'DELETE']),
        host: pick(['cart.example', 'Cart.Example', 'other']),
        path: pick(PATHS),
        headers: pick(HEADERS),
        sourceIp: '127.0.0.1',
        remoteIp,
      }
    })
  }

  return { policies, calls }
}

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { RouteTable } from '@weft/model'
import { seededRandom } from '@weft/testkit'
import { ConfigError } from '../config-error.ts'
import { route, table, virtualHost } from '../fixtures.ts'
import { compileRouteTable } from './compile.ts'

type Scheme = 'http' | 'https'

/** The domain that answers, from one virtual host per domain. */
function find(domains: readonly string[], authority: string, more: Partial<RouteTable> = {}) {
  return finder(domains, more)(authority)
}

function finder(domains: readonly string[], more: Partial<RouteTable> = {}) {
  const { domains: index } = compileRouteTable(
    table(
      domains.map((domain) => virtualHost([domain], [route('x')])),
      more,
    ),
  )
  return (authority: string, scheme: Scheme = 'http') => index.find(authority, scheme)?.domain
}

describe('domains', () => {
  test('exact wins over suffix, suffix over prefix, prefix over everything (Envoy)', () => {
    const domains = ['*', 'www.*', '*.example.com', 'www.example.com']
    assert.equal(find(domains, 'www.example.com'), 'www.example.com')
    assert.equal(find(domains, 'api.example.com'), '*.example.com')
    assert.equal(find(domains, 'www.example.org'), 'www.*')
    assert.equal(find(domains, 'api.example.org'), '*')
    // Both wildcards fit: the suffix is asked first.
    assert.equal(find(['www.*', '*.example.com'], 'www.example.com'), '*.example.com')
  })

  test('among wildcards the longest wins', () => {
    const domains = ['*.com', '*.example.com', '*-bar.example.com', 'a.*', 'a.b.*']
    assert.equal(find(domains, 'foo-bar.example.com'), '*-bar.example.com')
    assert.equal(find(domains, 'foo.example.com'), '*.example.com')
    assert.equal(find(domains, 'x.y.com'), '*.com')
    assert.equal(find(domains, 'a.b.c'), 'a.b.*')
  })

  test('a wildcard stands for at least one character', () => {
    assert.equal(find(['*-bar.foo.com'], 'baz-bar.foo.com'), '*-bar.foo.com')
    assert.equal(find(['*-bar.foo.com'], '-bar.foo.com'), undefined)
    assert.equal(find(['*.foo.com'], 'foo.com'), undefined)
    assert.equal(find(['foo.*'], 'foo.'), undefined)
    assert.equal(find(['*.foo.com'], 'a.b.foo.com'), '*.foo.com')
  })

  test('neither case nor the trailing dot matters', () => {
    assert.equal(find(['Reviews.Default'], 'reviews.default'), 'Reviews.Default')
    assert.equal(find(['reviews.default'], 'REVIEWS.default.'), 'reviews.default')
    assert.equal(find(['reviews.default.'], 'reviews.default'), 'reviews.default.')
    assert.equal(find(['reviews:9080'], 'reviews.:9080'), 'reviews:9080')
  })

  test('a port is part of the name, but the port of the scheme is none', () => {
    const byName = finder(['reviews', 'reviews:9080'])
    assert.equal(byName('reviews:9080'), 'reviews:9080')
    assert.equal(byName('reviews'), 'reviews')
    assert.equal(byName('reviews:80'), 'reviews')
    assert.equal(byName('reviews:9999'), undefined)
    assert.equal(byName('reviews:443'), undefined)
    assert.equal(byName('reviews:443', 'https'), 'reviews')
    assert.equal(byName('reviews:80', 'https'), undefined)
  })

  test('a table may ignore ports', () => {
    const byName = finder(['reviews', 'ratings:80', '*.example.com'], { ignorePort: true })
    assert.equal(byName('reviews:31380'), 'reviews')
    assert.equal(byName('a.example.com:8443'), '*.example.com')
    assert.equal(byName('ratings:80'), 'ratings:80')
  })

  test('the colons of IPv6 addresses are no ports', () => {
    const byName = finder(['[::1]', '[::2]:80', '::3'], { ignorePort: true })
    assert.equal(byName('[::1]'), '[::1]')
    assert.equal(byName('[::1]:8080'), '[::1]')
    assert.equal(byName('[::2]:80'), '[::2]:80')
    assert.equal(byName('::3'), '::3')
  })

  test('refuses a domain that two virtual hosts claim, and says which', () => {
    assert.throws(
      () => finder(['a.test', 'A.test']),
      (error) =>
        error instanceof ConfigError &&
        error.where === 'virtual host "A.test"' &&
        error.message.includes('also in "a.test"'),
    )
    assert.throws(() => finder(['*', '*']), ConfigError)
    assert.throws(() => finder(['']), ConfigError)
  })

  test('remembers a bounded number of authorities and still answers rightly', () => {
    const byName = finder(['*.a.test', 'b.test'])
    for (let i = 0; i < 5_000; i++) {
      assert.equal(byName(`h${i}.a.test`), '*.a.test')
      assert.equal(byName(`h${i}.b.test`), undefined)
    }
    assert.equal(byName('b.test'), 'b.test')
  })

  test('any set of domains answers as the rules read one by one do', () => {
    const random = seededRandom(7)
    const label = () => ['a', 'b', 'ab', 'c'][Math.floor(random() * 4)] ?? 'a'
    const name = () => Array.from({ length: 1 + Math.floor(random() * 3) }, label).join('.')
    const kinds = [(n: string) => n, (n: string) => `*.${n}`, (n: string) => `${n}.*`, () => '*']
    for (let round = 0; round < 200; round++) {
      const domains = [
        ...new Set(
          Array.from({ length: 8 }, () => kinds[Math.floor(random() * 4)]?.(name()) ?? '*'),
        ),
      ]
      const byName = finder(domains)
      for (let i = 0; i < 20; i++) {
        const host = name()
        assert.equal(byName(host), referenceDomain(domains, host), `${host} in ${domains}`)
      }
    }
  })
})

/** Envoy's four ranks, straight from the documentation of `VirtualHost.domains`. */
function referenceDomain(domains: readonly string[], host: string): string | undefined {
  const longest = (list: string[]) => list.sort((a, b) => b.length - a.length)[0]
  const suffixes = domains.filter(
    (d) =>
      d.length > 1 && d.startsWith('*') && host.endsWith(d.slice(1)) && host.length >= d.length,
  )
  const prefixes = domains.filter(
    (d) =>
      d.length > 1 && d.endsWith('*') && host.startsWith(d.slice(0, -1)) && host.length >= d.length,
  )
  return (
    domains.find((d) => d === host) ??
    longest(suffixes) ??
    longest(prefixes) ??
    domains.find((d) => d === '*')
  )
}

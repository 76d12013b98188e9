import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { HeaderMatch, PathMatch, RequestView, Route, RouteTable } from '@weft/model'
import { seededRandom } from '@weft/testkit'
import {
  exact,
  headerIs,
  prefix,
  type RequestOptions,
  regex,
  request,
  route,
  segments,
  table,
  virtualHost,
} from '../fixtures.ts'
import { compileRouteTable } from './compile.ts'
import { matchRoute } from './match.ts'
import { INDEX_FROM } from './route-index.ts'
import { createRouteTrace } from './trace.ts'

/** Name of the route that wins, or the kind of the refusal. */
function decide(source: RouteTable, view: RequestView): string {
  const decision = matchRoute(compileRouteTable(source), view)
  return decision.kind === 'matched' ? decision.route.source.name : decision.kind
}

function hits(options: Parameters<typeof route>[1], path: string, view?: RequestOptions): boolean {
  const source = table([virtualHost(['*'], [route('hit', options)])])
  return decide(source, request(path, view)) === 'hit'
}

describe('path', () => {
  // Gateway API HTTPPathMatch: "Matches based on a URL path prefix split by /".
  const cases: [PathMatch, string[], string[]][] = [
    [exact('/foo'), ['/foo', '/foo?a=b'], ['/foo/', '/FOO', '/foobar', '/']],
    [exact('/foo', true), ['/foo', '/FOO', '/Foo?x'], ['/foo/', '/fo']],
    [prefix('/foo'), ['/foo', '/foo/', '/foobar', '/foo/bar?x=/y'], ['/FOO', '/fo', '/a/foo']],
    [prefix('/foo', true), ['/FOObar'], ['/fo']],
    [segments('/abc'), ['/abc', '/abc/', '/abc/def', '/abc?x'], ['/abcd', '/', '/ABC']],
    [segments('/abc/'), ['/abc', '/abc/', '/abc/def'], ['/abcd', '/ab']],
    [segments('/'), ['/', '/x', '/x/y?z'], []],
    [segments('/abc', true), ['/ABC/def'], ['/ABCD']],
    [regex('/[a-z]+/\\d+'), ['/a/1', '/abc/23?x=y'], ['/a/1/', 'x/a/1', '/A/1']],
    [regex('/a|/ab'), ['/a', '/ab'], ['/abc']],
    [regex('/a', true), ['/A'], ['/AB']],
    [{ kind: 'connect' }, [], ['/', '/x']],
  ]
  for (const [match, matching, others] of cases) {
    test(`${JSON.stringify(match)}`, () => {
      for (const path of matching) assert.equal(hits({ path: match }, path), true, path)
      for (const path of others) assert.equal(hits({ path: match }, path), false, path)
    })
  }

  test('CONNECT has no path, so only the CONNECT matcher takes it', () => {
    const connect = { method: 'CONNECT' }
    assert.equal(hits({ path: { kind: 'connect' } }, '', connect), true)
    assert.equal(hits({ path: prefix('/') }, '', connect), false)
    assert.equal(hits({ path: prefix('') }, '', connect), false)
    assert.equal(hits({ path: regex('.*') }, '', connect), false)
  })

  test('a fragment is no part of the path', () => {
    assert.equal(hits({ path: exact('/foo') }, '/foo#top'), true)
    assert.equal(hits({ path: exact('/foo') }, '/foo#top?x'), true)
  })
})

describe('headers', () => {
  const value = (text: string) => ({ headers: { 'x-user': text } })
  const matching = (match: Partial<HeaderMatch>): readonly HeaderMatch[] => [
    { name: 'x-user', value: { kind: 'present' }, invert: false, ...match },
  ]
  const cases: [string, readonly HeaderMatch[], string[], string[]][] = [
    ['present', matching({}), ['', 'anna'], []],
    ['not present', matching({ invert: true }), [], ['', 'anna']],
    ['exact', [headerIs('x-user', 'jason')], ['jason'], ['Jason', 'jason2', '']],
    ['not exact', [headerIs('x-user', 'jason', true)], ['anna', ''], ['jason']],
    [
      'exact, ignoring case',
      matching({ value: { kind: 'exact', value: 'Jason', ignoreCase: true } }),
      ['jason', 'JASON'],
      ['jasonx'],
    ],
    [
      'prefix',
      matching({ value: { kind: 'prefix', value: 'ja', ignoreCase: false } }),
      ['ja', 'jason'],
      ['Ja', 'aja'],
    ],
    [
      'suffix',
      matching({ value: { kind: 'suffix', value: 'on', ignoreCase: true } }),
      ['jason', 'JASON', 'on'],
      ['n', 'one'],
    ],
    [
      'contains',
      matching({ value: { kind: 'contains', value: 'aSo', ignoreCase: true } }),
      ['jason', 'xASOx'],
      ['as'],
    ],
    [
      'regex',
      matching({ value: { kind: 'regex', value: 'j.*n' } }),
      ['jn', 'jason'],
      ['xjn', 'jnx'],
    ],
  ]
  for (const [name, headers, good, bad] of cases) {
    test(name, () => {
      for (const text of good) assert.equal(hits({ headers }, '/', value(text)), true, text)
      for (const text of bad) assert.equal(hits({ headers }, '/', value(text)), false, text)
    })
  }

  test('a missing header matches only inverted predicates (Istio withoutHeaders)', () => {
    assert.equal(hits({ headers: [headerIs('x-user', 'jason')] }, '/'), false)
    assert.equal(hits({ headers: matching({}) }, '/'), false)
    assert.equal(hits({ headers: [headerIs('x-user', 'jason', true)] }, '/'), true)
    assert.equal(hits({ headers: matching({ invert: true }) }, '/'), true)
  })

  test('all must match', () => {
    const headers = [headerIs('a', '1'), headerIs('b', '2')]
    assert.equal(hits({ headers }, '/', { headers: { a: '1', b: '2' } }), true)
    assert.equal(hits({ headers }, '/', { headers: { a: '1', b: '3' } }), false)
    assert.equal(hits({ headers }, '/', { headers: { a: '1' } }), false)
  })

  test('method, authority, scheme and path are headers with a colon', () => {
    assert.equal(hits({ headers: [headerIs(':method', 'POST')] }, '/', { method: 'POST' }), true)
    assert.equal(hits({ headers: [headerIs(':method', 'post')] }, '/', { method: 'POST' }), false)
    assert.equal(hits({ headers: [headerIs(':authority', 'a.test')] }, '/'), true)
    assert.equal(hits({ headers: [headerIs(':scheme', 'https')] }, '/'), false)
    assert.equal(hits({ headers: [headerIs(':path', '/x?y')] }, '/x?y'), true)
  })
})

describe('query', () => {
  const is = (name: string, text: string) => [
    { name, value: { kind: 'exact', value: text, ignoreCase: false } as const },
  ]
  const cases: [string, string, string, boolean][] = [
    ['a', 'b', '/?a=b', true],
    ['a', 'b', '/?x=y&a=b', true],
    ['a', 'b', '/?a=b&x=y', true],
    ['a', 'b', '/?a=b#f', true],
    ['a', 'b', '/', false],
    ['a', 'b', '/?aa=b', false],
    ['a', 'b', '/?xa=b', false],
    ['a', 'b', '/?A=b', false],
    ['a', 'b', '/?a=bb', false],
    ['a', 'b', '/a=b', false],
    ['a', '', '/?a', true],
    ['a', '', '/?a=', true],
    ['a', '', '/?a&b', true],
    ['a', 'b=c', '/?a=b=c', true],
    // The first of several decides.
    ['a', '1', '/?a=1&a=2', true],
    ['a', '2', '/?a=1&a=2', false],
    ['a', 'x y', '/?a=x%20y', false],
    ['a', 'b?c', '/?a=b?c', true],
  ]
  for (const [name, text, path, expected] of cases) {
    test(`${name}=${text} ${expected ? 'matches' : 'does not match'} ${path}`, () => {
      assert.equal(hits({ query: is(name, text) }, path), expected)
    })
  }

  test('presence is enough when asked for', () => {
    const query = [{ name: 'debug', value: { kind: 'present' } as const }]
    assert.equal(hits({ query }, '/?debug'), true)
    assert.equal(hits({ query }, '/?nodebug=1'), false)
  })
})

describe('route table', () => {
  test('the first route that matches wins, however special a later one is (Istio http[])', () => {
    const source = table([
      virtualHost(['*'], [route('all'), route('special', { path: exact('/special') })]),
    ])
    assert.equal(decide(source, request('/special')), 'all')
  })

  test('says when no virtual host and when no route matches', () => {
    const source = table([virtualHost(['a.test'], [route('x', { path: exact('/x') })])])
    assert.equal(decide(source, request('/y')), 'noRoute')
    assert.equal(decide(source, request('/x', { authority: 'b.test' })), 'noVirtualHost')
  })

  test('a virtual host that wants TLS redirects plain requests before it looks at routes', () => {
    const host = virtualHost(['*'], [route('all')], { requireTls: 'all' })
    assert.equal(decide(table([host]), request('/')), 'https-redirect')
    assert.equal(decide(table([host]), request('/', { scheme: 'https' })), 'all')
    const empty = virtualHost(['*'], [], { requireTls: 'all' })
    assert.equal(decide(table([empty]), request('/')), 'https-redirect')
  })

  test('the same request gets the same decision object: nothing is allocated', () => {
    const compiled = compileRouteTable(table([virtualHost(['*'], [route('all')])]))
    assert.equal(matchRoute(compiled, request('/a')), matchRoute(compiled, request('/b')))
  })
})

/*
 * The reference: Envoy's rules again, written without an index, a memo or a
 * shape. It shares no code with the package but the model's types.
 */
function referenceRoute(routes: readonly Route[], view: RequestView): string {
  const path = view.path.split(/[?#]/)[0] ?? ''
  const found = routes.find(
    ({ match }) =>
      referencePath(match.path, path) && match.headers.every((h) => referenceHeader(h, view)),
  )
  return found?.name ?? 'noRoute'
}

function referencePath(match: PathMatch, path: string): boolean {
  if (match.kind === 'connect') return false
  const fold = (text: string) => (match.ignoreCase ? text.toLowerCase() : text)
  const value = fold(match.value)
  const given = fold(path)
  switch (match.kind) {
    case 'exact':
      return given === value
    case 'prefix':
      return given.indexOf(value) === 0
    case 'segments': {
      const wanted = value.split('/').filter((part, i, all) => i < all.length - 1 || part !== '')
      return wanted.every((part, i) => given.split('/')[i] === part)
    }
    case 'regex':
      return new RegExp(`^(?:${match.value})$`, match.ignoreCase ? 'i' : '').test(path)
  }
}

function referenceHeader(match: HeaderMatch, view: RequestView): boolean {
  const value = view.header(match.name)
  const plain =
    value !== undefined &&
    (match.value.kind === 'present' ||
      (match.value.kind === 'exact' && match.value.value === value))
  return plain !== match.invert
}

describe('against the reference', () => {
  const random = seededRandom(20_261_121)
  const pick = <T>(list: readonly T[]): T => {
    const item = list[Math.floor(random() * list.length)]
    assert.ok(item !== undefined)
    return item
  }
  const PARTS = ['a', 'b', 'ab', 'A', 'api', 'v1', '']
  const randomPath = () =>
    `/${Array.from({ length: Math.floor(random() * 4) }, () => pick(PARTS)).join('/')}`
  const PATTERNS = ['/.*', '/a/[^/]+', '/(a|b)(/.*)?', '/[^/]+/v1', '/api/.+', '/a', '/a.b', '.*/b']
  const randomMatch = (): PathMatch => {
    const ignoreCase = random() < 0.15
    switch (Math.floor(random() * 4)) {
      case 0:
        return exact(randomPath(), ignoreCase)
      case 1:
        return prefix(randomPath(), ignoreCase)
      case 2:
        return segments(randomPath(), ignoreCase)
      default:
        return regex(pick(PATTERNS), ignoreCase)
    }
  }
  const randomHeaders = (): HeaderMatch[] => {
    if (random() < 0.6) return []
    const invert = random() < 0.3
    const name = pick(['x', 'y'])
    return [
      random() < 0.3
        ? { name, value: { kind: 'present' }, invert }
        : headerIs(name, pick(['1', '2']), invert),
    ]
  }
  const randomRequest = () => {
    const headers: Record<string, string> = {}
    if (random() < 0.5) headers.x = pick(['1', '2', '3'])
    if (random() < 0.5) headers.y = pick(['1', '2', '3'])
    return request(randomPath() + pick(['', '', '?a', '?x=/a/b', '#f']), { headers })
  }

  for (const size of [1, 5, INDEX_FROM - 1, INDEX_FROM, 80, 300]) {
    test(`any table of ${size} routes decides as the naive one does, traced or not`, () => {
      for (let round = 0; round < 12; round++) {
        const routes = Array.from({ length: size }, (_, i) =>
          route(`r${i}`, { path: randomMatch(), headers: randomHeaders() }),
        )
        const compiled = compileRouteTable(table([virtualHost(['*'], routes)]))
        for (let i = 0; i < 60; i++) {
          const view = randomRequest()
          const decision = matchRoute(compiled, view)
          const name = decision.kind === 'matched' ? decision.route.source.name : decision.kind
          assert.equal(
            name,
            referenceRoute(routes, view),
            `${view.path} in ${JSON.stringify(routes)}`,
          )
          assert.equal(matchRoute(compiled, view, createRouteTrace()), decision)
        }
      }
    })
  }
})

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { HostRewrite, PathMatch, PathRewrite, RedirectAction } from '@weft/model'
import { ConfigError } from '../config-error.ts'
import {
  exact,
  forward,
  prefix,
  type RequestOptions,
  regex,
  request,
  route,
  segments,
  table,
  target,
  virtualHost,
} from '../fixtures.ts'
import { compileRouteTable } from './compile.ts'
import { matchRoute } from './match.ts'
import { redirectLocation } from './redirect.ts'
import { rewriteAuthority, rewritePath } from './rewrite.ts'
import { pickTarget } from './weighted.ts'

function actionFor(source: ReturnType<typeof route>, path: string, options?: RequestOptions) {
  const compiled = compileRouteTable(table([virtualHost(['*'], [source])]))
  const decision = matchRoute(compiled, request(path, options))
  assert.equal(decision.kind, 'matched', path)
  assert.ok(decision.kind === 'matched')
  return decision.route.action
}

function rewritten(match: PathMatch, pathRewrite: PathRewrite, path: string): string {
  const action = actionFor(
    route('x', { path: match, action: { ...forward(['x', 1]), pathRewrite } }),
    path,
  )
  assert.ok(action.kind === 'forward')
  return rewritePath(action, path)
}

describe('rewritePath()', () => {
  const to = (value: string): PathRewrite => ({ kind: 'prefix', value })
  const full = (value: string): PathRewrite => ({ kind: 'full', value })
  const by = (pattern: string, substitution: string): PathRewrite => ({
    kind: 'regex',
    pattern,
    substitution,
  })

  const cases: [string, PathMatch, PathRewrite, string, string][] = [
    // HTTPPathModifier.replacePrefixMatch, the table in Gateway API's reference.
    ['segments', segments('/foo'), to('/xyz'), '/foo/bar', '/xyz/bar'],
    ['segments', segments('/foo'), to('/xyz/'), '/foo/bar', '/xyz/bar'],
    ['segments', segments('/foo/'), to('/xyz'), '/foo/bar', '/xyz/bar'],
    ['segments', segments('/foo/'), to('/xyz/'), '/foo/bar', '/xyz/bar'],
    ['segments', segments('/foo'), to('/xyz'), '/foo', '/xyz'],
    ['segments', segments('/foo'), to('/xyz'), '/foo/', '/xyz/'],
    ['segments', segments('/foo'), to(''), '/foo/bar', '/bar'],
    ['segments', segments('/foo'), to(''), '/foo/', '/'],
    ['segments', segments('/foo'), to(''), '/foo', '/'],
    ['segments', segments('/foo'), to('/'), '/foo/', '/'],
    ['segments', segments('/foo'), to('/'), '/foo', '/'],
    ['segments', segments('/foo'), to('/'), '/foo/bar', '/bar'],
    ['segments', segments('/'), to('/xyz'), '/foo', '/xyz/foo'],
    ['segments keep the query', segments('/foo'), to('/xyz'), '/foo?a=/foo', '/xyz?a=/foo'],
    ['segments, ignoring case', segments('/foo', true), to('/xyz'), '/FOO/Bar', '/xyz/Bar'],
    // Istio HTTPRewrite.uri: "replaces the matched prefix" by characters.
    ['prefix', prefix('/ratings'), to('/v1/bookRatings'), '/ratings/7', '/v1/bookRatings/7'],
    ['prefix', prefix('/a'), to('/b'), '/abc', '/bbc'],
    ['prefix', prefix('/api/'), to('/'), '/api/users?x', '/users?x'],
    ['prefix', prefix('/'), to('/v2/'), '/x', '/v2/x'],
    ['exact, whole path', exact('/old'), to('/new'), '/old?x=1', '/new?x=1'],
    ['regex match, whole path', regex('/o.*'), to('/new'), '/old/1', '/new'],
    ['full', prefix('/'), full('/one'), '/a/b?c=d', '/one?c=d'],
    ['full with a query of its own', prefix('/'), full('/one?z'), '/a?c=d', '/one?z'],
    // Istio RegexRewrite and Envoy regex_rewrite.
    [
      'groups',
      prefix('/'),
      by('^/service/([^/]+)(/.*)$', '\\2/instance/\\1'),
      '/service/foo/v1/api?q',
      '/v1/api/instance/foo?q',
    ],
    ['every match', prefix('/'), by('one', 'two'), '/xxx/one/yyy/one/zzz', '/xxx/two/yyy/two/zzz'],
    ['whole match', prefix('/'), by('b', '<\\0>'), '/abc', '/a<b>c'],
    ['backslash', prefix('/'), by('b', '\\\\'), '/abc', '/a\\c'],
    ['optional group', prefix('/'), by('^/a(x)?', '/\\1b'), '/a', '/b'],
    ['no match', prefix('/'), by('q', 'z'), '/abc?q', '/abc?q'],
    ['ignoring case', prefix('/'), by('(?i)/xXx/', '/yyy/'), '/aaa/XxX/bbb', '/aaa/yyy/bbb'],
  ]
  for (const [name, match, rewrite, path, expected] of cases) {
    test(`${name}: ${JSON.stringify(rewrite)} makes ${expected} of ${path}`, () => {
      assert.equal(rewritten(match, rewrite, path), expected)
    })
  }

  test('refuses a bad pattern, and a substitution of a group that is not there', () => {
    const compile = (pathRewrite: PathRewrite) =>
      compileRouteTable(
        table([
          virtualHost(['*'], [route('r', { action: { ...forward(['x', 1]), pathRewrite } })]),
        ]),
      )
    assert.throws(() => compile(by('(', 'x')), /virtual host "\*", route "r", path rewrite/)
    assert.throws(() => compile(by('(a)', '\\2')), ConfigError)
    assert.throws(() => compile(by('(a)', '\\')), ConfigError)
    assert.throws(() => compile(by('(a)', '\\x')), ConfigError)
  })
})

describe('rewriteAuthority()', () => {
  const literal: HostRewrite = { kind: 'literal', value: 'b.test' }
  const authorityOf = (action: ReturnType<typeof forward>, more = {}) => {
    const compiled = actionFor(route('x', { action, more }), '/')
    assert.ok(compiled.kind === 'forward')
    return rewriteAuthority(
      pickTarget(compiled, () => 0),
      'a.test',
      'endpoint.test',
    )
  }

  test("the target's wins over the action's; without either the request's stays", () => {
    const action = forward(['x', 1])
    assert.equal(authorityOf(action), 'a.test')
    assert.equal(authorityOf({ ...action, hostRewrite: literal }), 'b.test')
    const targets = [{ ...target('x', 1), hostRewrite: { kind: 'endpoint' } as const }] as const
    assert.equal(
      authorityOf({ ...action, hostRewrite: literal, targets: [...targets] }),
      'endpoint.test',
    )
  })

  test('setting the host header is a host rewrite', () => {
    const set = [{ name: 'Host', value: 'c.test' }]
    const more = { requestHeaders: { set, add: [], remove: [] } }
    assert.equal(authorityOf(forward(['x', 1]), more), 'c.test')
    assert.equal(authorityOf({ ...forward(['x', 1]), hostRewrite: literal }, more), 'b.test')
  })
})

describe('redirectLocation()', () => {
  const location = (
    action: Partial<RedirectAction>,
    path: string,
    authority: string,
    scheme: 'http' | 'https' = 'http',
    match: PathMatch = prefix('/'),
  ) => {
    const redirect: RedirectAction = { kind: 'redirect', status: 302, stripQuery: false, ...action }
    const options = { authority, scheme }
    const compiled = actionFor(route('x', { action: redirect, path: match }), path, options)
    assert.ok(compiled.kind === 'redirect')
    return redirectLocation(compiled, request(path, options))
  }
  const full = (value: string): PathRewrite => ({ kind: 'full', value })

  const cases: [Partial<RedirectAction>, string, string, 'http' | 'https', string][] = [
    [{}, '/a?b', 'h.test', 'http', 'http://h.test/a?b'],
    [{}, '/a', 'h.test:8080', 'http', 'http://h.test:8080/a'],
    [{}, '/a', 'h.test:80', 'http', 'http://h.test/a'],
    [{ scheme: 'https' }, '/a', 'h.test', 'http', 'https://h.test/a'],
    [{ scheme: 'https' }, '/a', 'h.test:80', 'http', 'https://h.test/a'],
    [{ scheme: 'https' }, '/a', 'h.test:8080', 'http', 'https://h.test/a'],
    [{ scheme: 'https', port: 8443 }, '/a', 'h.test:8080', 'http', 'https://h.test:8443/a'],
    [{ scheme: 'https', port: 443 }, '/a', 'h.test', 'http', 'https://h.test/a'],
    [{ scheme: 'http' }, '/a', 'h.test:443', 'https', 'http://h.test/a'],
    [{ port: 8080 }, '/a', 'h.test', 'http', 'http://h.test:8080/a'],
    [{ port: 80 }, '/a', 'h.test:8080', 'http', 'http://h.test/a'],
    [{ port: 80 }, '/a', 'h.test', 'https', 'https://h.test:80/a'],
    [{ host: 'n.test' }, '/a?b', 'h.test:8080', 'http', 'http://n.test/a?b'],
    [{ host: 'n.test', path: full('/v1') }, '/a?b', 'h.test', 'http', 'http://n.test/v1?b'],
    [{ path: full('/v1?z') }, '/a?b', 'h.test', 'http', 'http://h.test/v1?z'],
    [{ stripQuery: true }, '/a?b', 'h.test', 'http', 'http://h.test/a'],
    [{ scheme: 'https' }, '/a', '[::1]:80', 'http', 'https://[::1]/a'],
    [{}, '/a', '[::1]', 'http', 'http://[::1]/a'],
    [{ host: 'n.test' }, '//evil.test/a', 'h.test', 'http', 'http://n.test//evil.test/a'],
    [{}, '/a', '', 'http', '/a'],
  ]
  for (const [action, path, authority, scheme, expected] of cases) {
    test(`${JSON.stringify(action)} sends ${scheme}://${authority}${path} to ${expected}`, () => {
      assert.equal(location(action, path, authority, scheme), expected)
    })
  }

  test('prefix and regex rewrites work as they do for forwards', () => {
    const swap: PathRewrite = { kind: 'prefix', value: '/new' }
    assert.equal(
      location({ path: swap }, '/old/x?q', 'h', 'http', segments('/old')),
      'http://h/new/x?q',
    )
    const pattern: PathRewrite = { kind: 'regex', pattern: '^/(\\w+)', substitution: '/\\1-2' }
    assert.equal(location({ path: pattern }, '/old/x', 'h'), 'http://h/old-2/x')
  })

  test('always names a path', () => {
    assert.equal(location({ path: full('v1') }, '/a', 'h'), 'http://h/v1')
  })
})

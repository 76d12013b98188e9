import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Origin } from '@weft/model'
import { seededRandom } from '@weft/testkit'
import { ConfigError } from '../config-error.ts'
import {
  exact,
  forward,
  headerIs,
  prefix,
  regex,
  request,
  route,
  table,
  target,
  virtualHost,
} from '../fixtures.ts'
import { compileRouteTable } from './compile.ts'
import { matchRoute } from './match.ts'
import { createRouteTrace, renderRouteTrace } from './trace.ts'
import { pickTarget } from './weighted.ts'

function compiledForward(
  ...weights: readonly [readonly [string, number], ...(readonly [string, number])[]]
) {
  const source = route('split', { action: forward(...weights) })
  const compiled = compileRouteTable(table([virtualHost(['*'], [source])]))
  const action = compiled.virtualHosts[0]?.routes[0]?.action
  assert.ok(action?.kind === 'forward')
  return action
}

describe('pickTarget()', () => {
  test('splits in proportion to weight', () => {
    const action = compiledForward(['v1', 90], ['none', 0], ['v2', 9], ['v3', 1])
    const random = seededRandom(1)
    const counts = new Map<string, number>()
    for (let i = 0; i < 100_000; i++) {
      const { cluster } = pickTarget(action, random)
      counts.set(cluster, (counts.get(cluster) ?? 0) + 1)
    }
    // Four standard deviations of a binomial: 380, 362 and 126.
    assert.ok(Math.abs((counts.get('v1') ?? 0) - 90_000) < 380)
    assert.ok(Math.abs((counts.get('v2') ?? 0) - 9_000) < 362)
    assert.ok(Math.abs((counts.get('v3') ?? 0) - 1_000) < 126)
    assert.equal(counts.get('none'), undefined)
  })

  test('the borders of the shares are exact', () => {
    const action = compiledForward(['a', 1], ['b', 0], ['c', 3], ['d', 0])
    const at = (value: number) => pickTarget(action, () => value).cluster
    assert.equal(at(0), 'a')
    assert.equal(at(0.2499), 'a')
    assert.equal(at(0.25), 'c')
    assert.equal(at(0.999999999), 'c')
  })

  test('a single target gets everything and asks for no randomness', () => {
    const action = compiledForward(['only', 0])
    const picked = pickTarget(action, () => assert.fail('asked for randomness'))
    assert.equal(picked.cluster, 'only')
  })
})

describe('compileRouteTable()', () => {
  const refused: [string, ReturnType<typeof route>, RegExp][] = [
    ['a bad path regex', route('r', { path: regex('(') }), /route "r", path: Cannot use a regex/],
    [
      'a bad header regex',
      route('r', { headers: [{ name: 'X', value: { kind: 'regex', value: '[' }, invert: false }] }),
      /route "r", header "x": Cannot use a regex/,
    ],
    [
      'weights that sum to nothing',
      route('r', { action: forward(['a', 0], ['b', 0]) }),
      /route "r": Cannot split/,
    ],
    [
      'a negative weight',
      route('r', { action: { ...forward(['a', 2]), targets: [target('a', 2), target('b', -1)] } }),
      /route "r": Cannot split/,
    ],
    [
      'an unknown substitution',
      route('r', {
        more: { requestHeaders: { set: [{ name: 'a', value: '%NOPE%' }], add: [], remove: [] } },
      }),
      /route "r", target "r", request headers, "a": .*%NOPE%/,
    ],
    [
      'a change of the framing',
      route('r', { more: { responseHeaders: { set: [], add: [], remove: ['Content-Length'] } } }),
      /route "r".*response headers: .*content-length/,
    ],
    [
      'what is no header name',
      route('r', { more: { requestHeaders: { set: [], add: [], remove: ['a b'] } } }),
      /got "a b"/,
    ],
  ]
  for (const [what, source, expected] of refused) {
    test(`refuses ${what} and says where`, () => {
      assert.throws(
        () => compileRouteTable(table([virtualHost(['a.test'], [source])])),
        (error) =>
          error instanceof ConfigError &&
          error.message.startsWith('virtual host "a.test"') &&
          expected.test(error.message),
      )
    })
  }

  test("orders header changes as Envoy does: target's, route's, virtual host's", () => {
    const level = (value: string) => ({
      set: [{ name: 'S', value }],
      add: [{ name: 'A', value }],
      remove: [`R-${value}`],
    })
    const action = {
      ...forward(['x', 1]),
      targets: [{ ...target('x', 1), requestHeaders: level('1'), responseHeaders: level('1') }],
    } as const
    const source = route('r', {
      action: { ...action, targets: [...action.targets] },
      more: { requestHeaders: level('2'), responseHeaders: level('2') },
    })
    const host = virtualHost(['*'], [source], {
      requestHeaders: level('3'),
      responseHeaders: level('3'),
    })
    const compiled = compileRouteTable(table([host])).virtualHosts[0]?.routes[0]
    assert.ok(compiled?.action.kind === 'forward')
    const shorten = (ops: typeof compiled.responseHeaders) =>
      ops.map((op) =>
        op.kind === 'remove'
          ? `-${op.name}`
          : `${op.kind} ${op.name}=${op.value.kind === 'literal' ? op.value.value : ''}`,
      )
    const one = (value: string) => [`-r-${value}`, `set s=${value}`, `add a=${value}`]
    const [first] = compiled.action.targets
    assert.deepEqual(shorten(first.requestHeaders), [...one('1'), ...one('2'), ...one('3')])
    assert.deepEqual(shorten(first.responseHeaders), [...one('1'), ...one('2'), ...one('3')])
    // What the proxy answers itself has no target.
    assert.deepEqual(shorten(compiled.responseHeaders), [...one('2'), ...one('3')])
  })
})

describe('explanation', () => {
  const origin = (path: string, line: number): Origin => ({
    kind: 'VirtualService',
    namespace: 'default',
    name: 'reviews',
    path,
    file: 'reviews.yaml',
    line,
  })
  const source = table([
    virtualHost(
      ['reviews', '*.example.com'],
      [
        route('jason', {
          path: prefix('/reviews'),
          headers: [headerIs('end-user', 'jason')],
          more: { origins: [origin('spec.http[0]', 8)] },
        }),
        route('internal', { path: exact('/internal') }),
        route('default', { more: { origins: [origin('spec.http[1]', 20)] } }),
        route('never'),
      ],
    ),
  ])
  const explain = (path: string, options = {}) => {
    const trace = createRouteTrace()
    matchRoute(compileRouteTable(source), request(path, options), trace)
    return trace
  }

  test('names the predicate that decided, the line, and the runner-up', () => {
    const trace = explain('/reviews/1', { authority: 'Reviews', headers: { 'end-user': 'anna' } })
    assert.deepEqual(renderRouteTrace(trace), [
      'host "Reviews": virtual host "reviews" by domain "reviews"',
      'route "jason" does not match: header end-user is "jason", found "anna", from VirtualService default/reviews spec.http[0] (reviews.yaml:8)',
      'route "internal" does not match: path is "/internal", found "/reviews/1"',
      'route "default" matches: path begins with "/", from VirtualService default/reviews spec.http[1] (reviews.yaml:20)',
      'route "never" would be next: path begins with "/"',
    ])
    assert.equal(trace.runnerUp, 'never')
    assert.deepEqual(
      trace.candidates.map(({ outcome }) => outcome),
      ['failed', 'failed', 'matched', 'shadowed'],
    )
  })

  test('routes between winner and runner-up are left out of the text', () => {
    const trace = explain('/reviews', {
      authority: 'a.example.com',
      headers: { 'end-user': 'jason' },
    })
    assert.equal(trace.virtualHost?.domain, '*.example.com')
    assert.equal(renderRouteTrace(trace).length, 3)
    assert.equal(trace.runnerUp, 'default')
  })

  test('says when nothing answers', () => {
    const lines = renderRouteTrace(explain('/', { authority: 'other' }))
    assert.deepEqual(lines, ['host "other": no virtual host has a domain for it'])
  })
})

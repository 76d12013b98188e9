/**
 * What does choosing a route cost, per request, by table size and kind of match?
 *
 * Budget: 250 ns for a whole decision. It runs on the request path of every proxy.
 *
 *     node --conditions=source packages/traffic/src/route/match.bench.ts
 */
import type { Route } from '@weft/model'
import {
  exact,
  headerIs,
  prefix,
  regex,
  request,
  route,
  segments,
  table,
  virtualHost,
} from '../fixtures.ts'
import { compileRouteTable } from './compile.ts'
import { matchRoute } from './match.ts'
import { pickTarget } from './weighted.ts'

const ROUNDS = 200_000

function hosts(count: number) {
  return Array.from({ length: count }, (_, i) =>
    virtualHost([`svc${i}.default.svc.cluster.local`, `svc${i}`], [route('default')]),
  )
}

function below(count: number, make: (i: number) => Route): Route[] {
  return [...Array.from({ length: count }, (_, i) => make(i)), route('rest')]
}

const prefixes = (count: number) =>
  below(count, (i) => route(`r${i}`, { path: prefix(`/api/v1/service${i}/`) }))

const CASES: Readonly<Record<string, { routes: Route[]; paths: string[]; user?: string }>> = {
  '1 route': { routes: [route('only')], paths: ['/reviews/1', '/'] },
  'header, then default': {
    routes: [route('jason', { headers: [headerIs('end-user', 'jason')] }), route('default')],
    paths: ['/reviews/1?full=1', '/reviews/2'],
  },
  '5 prefixes': { routes: prefixes(5), paths: ['/api/v1/service3/x', '/api/v1/service4/y?q=1'] },
  '10 prefixes': { routes: prefixes(10), paths: ['/api/v1/service3/x', '/api/v1/service9/y?q=1'] },
  '20 prefixes': { routes: prefixes(20), paths: ['/api/v1/service3/x', '/api/v1/service19/y?q=1'] },
  '50 prefixes': { routes: prefixes(50), paths: ['/api/v1/service25/x', '/api/v1/service49/y'] },
  '300 prefixes': {
    routes: prefixes(300),
    paths: ['/api/v1/service150/x', '/api/v1/service299/y'],
  },
  '300 exact': {
    routes: below(300, (i) => route(`r${i}`, { path: exact(`/api/v1/item/${i}`) })),
    paths: ['/api/v1/item/7', '/api/v1/item/299'],
  },
  '300 segments': {
    routes: below(300, (i) => route(`r${i}`, { path: segments(`/api/v1/item/${i}`) })),
    paths: ['/api/v1/item/7/x', '/api/v1/item/299'],
  },
  'regex with a shape': {
    routes: [route('item', { path: regex('/items/[^/]+/reviews') }), route('default')],
    paths: ['/items/42/reviews', '/items/42'],
  },
  'regex for RE2': {
    routes: [route('item', { path: regex('/items/[0-9]+/(reviews|ratings)') }), route('default')],
    paths: ['/items/42/reviews', '/items/42'],
  },
}

for (const [name, { routes, paths }] of Object.entries(CASES)) {
  const compiled = compileRouteTable(table([virtualHost(['a.test'], routes), ...hosts(50)]))
  const requests = paths.map((path) => request(path, { headers: { 'end-user': 'anna' } }))
  let checksum = 0
  const run = (rounds: number): void => {
    for (let i = 0; i < rounds; i++) {
      const view = requests[i % requests.length]
      if (view === undefined) continue
      const decision = matchRoute(compiled, view)
      if (decision.kind !== 'matched') continue
      const { action } = decision.route
      if (action.kind === 'forward') checksum += pickTarget(action, Math.random).cluster.length
    }
  }
  run(ROUNDS)
  let bestNs = Number.POSITIVE_INFINITY
  for (let i = 0; i < 5; i++) {
    const start = performance.now()
    run(ROUNDS)
    bestNs = Math.min(bestNs, ((performance.now() - start) * 1e6) / ROUNDS)
  }
  console.log(`${name.padEnd(22)} ${bestNs.toFixed(0).padStart(5)} ns/decision  (${checksum})`)
}

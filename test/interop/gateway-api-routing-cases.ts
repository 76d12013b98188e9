/** HTTPRoute cases: which route of which listener a request takes, and which backend. */
import { type Case, GATEWAY, httpRoute, to } from './gateway-api-cases.ts'

export const routingCases: readonly Case[] = [
  {
    name: 'exact paths are compared whole and with their case',
    yaml:
      GATEWAY +
      httpRoute(
        'r',
        `  rules:
  - {matches: [{path: {type: Exact, value: /one}}], ${to('v1')}}
  - {matches: [{path: {type: Exact, value: /two}}], ${to('v2')}}`,
      ),
    rows: [
      [{ path: '/one' }, { backend: 'v1' }],
      [{ path: '/one?x=1' }, { backend: 'v1' }],
      [{ path: '/two' }, { backend: 'v2' }],
      [{ path: '/' }, { status: 404 }],
      [{ path: '/one/example' }, { status: 404 }],
      [{ path: '/two/' }, { status: 404 }],
      [{ path: '/Two' }, { status: 404 }],
    ],
  },
  {
    name: 'path prefixes end at segments, and the longest wins whatever the order',
    yaml:
      GATEWAY +
      httpRoute(
        'r',
        `  rules:
  - {matches: [{path: {type: PathPrefix, value: /}}], ${to('v1')}}
  - {matches: [{path: {type: PathPrefix, value: /match}}], ${to('v2')}}
  - {matches: [{path: {type: PathPrefix, value: /match/prefix/one/}}], ${to('v3')}}
  - {matches: [{path: {type: Exact, value: /match/prefix/one}}], ${to('v1')}}`,
      ),
    rows: [
      [{ path: '/' }, { backend: 'v1' }],
      [{ path: '/match' }, { backend: 'v2' }],
      [{ path: '/match/' }, { backend: 'v2' }],
      [{ path: '/matchless' }, { backend: 'v1' }],
      [{ path: '/match/prefix/one' }, { backend: 'v1' }],
      [{ path: '/match/prefix/one/any' }, { backend: 'v3' }],
      [{ path: '/match/prefix/ones' }, { backend: 'v2' }],
    ],
  },
  {
    name: 'regular expressions of paths are for the whole path',
    yaml:
      GATEWAY +
      httpRoute(
        'r',
        `  rules: [{matches: [{path: {type: RegularExpression, value: "/v[0-9]+/.*"}}], ${to('v1')}}]`,
      ),
    rows: [
      [{ path: '/v12/x' }, { backend: 'v1' }],
      [{ path: '/v/x' }, { status: 404 }],
      [{ path: '/a/v1/x' }, { status: 404 }],
    ],
  },
  {
    name: 'headers, more of them before fewer, names in any case',
    yaml:
      GATEWAY +
      httpRoute(
        'r',
        `  rules:
  - {matches: [{headers: [{name: Version, value: one}]}], ${to('v1')}}
  - {matches: [{headers: [{name: version, value: two}]}], ${to('v2')}}
  - {matches: [{headers: [{name: version, value: two}, {name: color, value: orange}]}], ${to('v1')}}
  - {matches: [{headers: [{name: color, value: blue}]}, {headers: [{name: color, value: green}]}], ${to('v1')}}
  - {matches: [{headers: [{name: color, type: RegularExpression, value: "(red|yel.*)"}]}], ${to('v3')}}`,
      ),
    rows: [
      [{ headers: { version: 'one' } }, { backend: 'v1' }],
      [{ headers: { VERSION: 'two' } }, { backend: 'v2' }],
      [{ headers: { version: 'two', color: 'orange' } }, { backend: 'v1' }],
      [{ headers: { color: 'green' } }, { backend: 'v1' }],
      [{ headers: { color: 'yellow' } }, { backend: 'v3' }],
      [{ headers: { color: 'reddish' } }, { status: 404 }],
      [{ headers: { color: 'orange' } }, { status: 404 }],
      [{}, { status: 404 }],
    ],
  },
  {
    name: 'query parameters and methods',
    yaml:
      GATEWAY +
      httpRoute(
        'r',
        `  rules:
  - {matches: [{queryParams: [{name: animal, value: whale}]}], ${to('v1')}}
  - {matches: [{queryParams: [{name: animal, value: dolphin}]}], ${to('v2')}}
  - {matches: [{queryParams: [{name: animal, value: dolphin}, {name: color, value: blue}]}], ${to('v3')}}
  - {matches: [{method: POST}], ${to('v2')}}
  - {matches: [{method: PATCH, path: {value: /patch}}], ${to('v3')}}
  - {matches: [{path: {value: /patch}}], ${to('v1')}}`,
      ),
    rows: [
      [{ path: '/?animal=whale' }, { backend: 'v1' }],
      [{ path: '/?animal=whale&animal=dolphin' }, { backend: 'v1' }],
      [{ path: '/?animal=dolphin' }, { backend: 'v2' }],
      [{ path: '/?color=blue&animal=dolphin' }, { backend: 'v3' }],
      [{ path: '/?animal=Whale' }, { status: 404 }],
      [{ path: '/', method: 'POST', body: 'x' }, { backend: 'v2' }],
      [{ path: '/patch', method: 'PATCH', body: 'x' }, { backend: 'v3' }],
      [{ path: '/patch' }, { backend: 'v1' }],
      [{ path: '/' }, { status: 404 }],
    ],
  },
  {
    name: 'matching across routes: hostname, path, headers, then name',
    yaml:
      GATEWAY +
      httpRoute(
        'b-part1',
        `  hostnames: [example.com, example.net]
  rules:
  - {matches: [{path: {value: /}}, {headers: [{name: version, value: one}]}], ${to('v1')}}`,
      ) +
      httpRoute(
        'a-part2',
        `  hostnames: [example.com]
  rules:
  - {matches: [{path: {value: /v2}}, {headers: [{name: version, value: two}]}], ${to('v2')}}
  - {matches: [{path: {value: /}}], ${to('v3')}}`,
      ),
    rows: [
      [{ host: 'example.net', path: '/v2' }, { backend: 'v1' }],
      [{ host: 'example.com', path: '/v2/x' }, { backend: 'v2' }],
      [{ host: 'example.com', headers: { version: 'two' } }, { backend: 'v2' }],
      [{ host: 'example.com', headers: { version: 'one' } }, { backend: 'v1' }],
      [{ host: 'example.com', path: '/other' }, { backend: 'v3' }],
      [{ host: 'example.net:80', path: '/' }, { backend: 'v1' }],
      [{ host: 'other.com' }, { status: 404 }],
    ],
  },
  {
    name: 'hostnames of listeners and routes intersect',
    yaml: `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: $NS}
spec:
  gatewayClassName: weft
  listeners:
  - {name: one, port: $P1, protocol: HTTP, hostname: very.specific.com}
  - {name: two, port: $P1, protocol: HTTP, hostname: "*.wildcard.io"}
  - {name: three, port: $P1, protocol: HTTP, hostname: "*.anotherwildcard.io"}
${httpRoute('specific', `  hostnames: [non.matching.com, "*.nonmatchingwildcard.io", very.specific.com]\n  rules: [{matches: [{path: {value: /s1}}], ${to('v1')}}]`)}
${httpRoute('wild', `  hostnames: ["*.com"]\n  rules: [{matches: [{path: {value: /s2}}], ${to('v2')}}]`)}
${httpRoute('inside', `  hostnames: [foo.wildcard.io, bar.wildcard.io, foo.bar.wildcard.io]\n  rules: [{matches: [{path: {value: /s3}}], ${to('v3')}}]`)}
${httpRoute('any', `  rules: [{matches: [{path: {value: /s4}}], ${to('v1')}}]`, '[{name: gw, sectionName: three}]')}`,
    rows: [
      [{ host: 'very.specific.com', path: '/s1' }, { backend: 'v1' }],
      [{ host: 'non.matching.com', path: '/s1' }, { status: 404 }],
      [{ host: 'foo.nonmatchingwildcard.io', path: '/s1' }, { status: 404 }],
      [{ host: 'very.specific.com', path: '/s2' }, { backend: 'v2' }],
      [{ host: 'other.com', path: '/s2' }, { status: 404 }],
      [{ host: 'foo.wildcard.io', path: '/s3' }, { backend: 'v3' }],
      [{ host: 'foo.bar.wildcard.io', path: '/s3' }, { backend: 'v3' }],
      [{ host: 'baz.wildcard.io', path: '/s3' }, { status: 404 }],
      [{ host: 'wildcard.io', path: '/s3' }, { status: 404 }],
      [{ host: 'one.anotherwildcard.io', path: '/s4' }, { backend: 'v1' }],
      [{ host: 'one.two.anotherwildcard.io', path: '/s4' }, { backend: 'v1' }],
      [{ host: 'anotherwildcard.io', path: '/s4' }, { status: 404 }],
    ],
  },
  {
    name: 'listeners are isolated: the most specific one takes a host with all its paths',
    yaml: `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: $NS}
spec:
  gatewayClassName: weft
  listeners:
  - {name: all, port: $P1, protocol: HTTP}
  - {name: wide, port: $P1, protocol: HTTP, hostname: "*.example.com"}
  - {name: near, port: $P1, protocol: HTTP, hostname: "*.foo.example.com"}
  - {name: own, port: $P1, protocol: HTTP, hostname: abc.foo.example.com}
${['all', 'wide', 'near', 'own']
  .map((name, index) =>
    httpRoute(
      name,
      `  rules: [{matches: [{path: {value: /${name}}}], ${to(`v${(index % 3) + 1}`)}}]`,
      `[{name: gw, sectionName: ${name}}]`,
    ),
  )
  .join('')}`,
    rows: [
      [{ host: 'bar.com', path: '/all' }, { backend: 'v1' }],
      [{ host: 'bar.com', path: '/wide' }, { status: 404 }],
      [{ host: 'bar.example.com', path: '/wide' }, { backend: 'v2' }],
      [{ host: 'bar.example.com', path: '/all' }, { status: 404 }],
      [{ host: 'bar.foo.example.com', path: '/near' }, { backend: 'v3' }],
      [{ host: 'bar.foo.example.com', path: '/wide' }, { status: 404 }],
      [{ host: 'abc.foo.example.com', path: '/own' }, { backend: 'v1' }],
      [{ host: 'abc.foo.example.com', path: '/near' }, { status: 404 }],
    ],
  },
  {
    name: 'backends that are missing, of an unknown kind or none at all answer 500',
    yaml:
      GATEWAY +
      httpRoute(
        'r',
        `  rules:
  - {matches: [{path: {value: /missing}}], backendRefs: [{name: nowhere, port: 8080}]}
  - {matches: [{path: {value: /kind}}], backendRefs: [{group: x.example, kind: Thing, name: v1, port: 8080}]}
  - {matches: [{path: {value: /none}}]}
  - {matches: [{path: {value: /foreign}}], backendRefs: [{name: v1, namespace: case-1, port: 8080}]}
  - {matches: [{path: {value: /zero}}], backendRefs: [{name: v1, port: 8080, weight: 0}]}
  - {matches: [{path: {value: /weighted}}], backendRefs: [{name: v2, port: 8080, weight: 1}, {name: v3, port: 8080, weight: 0}]}`,
      ),
    rows: [
      [{ path: '/missing' }, { status: 500 }],
      [{ path: '/kind' }, { status: 500 }],
      [{ path: '/none' }, { status: 500 }],
      [{ path: '/foreign' }, { status: 500 }],
      [{ path: '/zero' }, { status: 500 }],
      [{ path: '/weighted' }, { backend: 'v2' }],
    ],
  },
  {
    name: 'a grant lets a route use a service of another namespace',
    yaml: `${GATEWAY}
${httpRoute('r', '  rules: [{backendRefs: [{name: v9, namespace: $NS-other, port: 1}]}]')}
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: g, namespace: $NS-other}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: $NS}]
  to: [{group: "", kind: Service, name: v9}]
---
apiVersion: v1
kind: Service
metadata: {name: v9, namespace: $NS-other}
spec: {type: ExternalName, externalName: localhost, ports: [{name: http, port: 1}]}
`,
    // Nobody listens on port 1: what matters is that it is a connect failure, not the 500 of a refusal.
    rows: [[{ path: '/' }, { status: 503 }]],
  },
  {
    name: 'ports: parentRef port, several listeners, sectionName',
    yaml: `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: $NS}
spec:
  gatewayClassName: weft
  listeners: [{name: first, port: $P1, protocol: HTTP}, {name: second, port: $P2, protocol: HTTP}]
${httpRoute('one', `  rules: [{matches: [{path: {value: /one}}], ${to('v1')}}]`, '[{name: gw, port: $P1}]')}
${httpRoute('two', `  rules: [{matches: [{path: {value: /two}}], ${to('v2')}}]`, '[{name: gw, sectionName: second}]')}
${httpRoute('three', `  rules: [{matches: [{path: {value: /three}}], ${to('v3')}}]`)}`,
    rows: [
      [{ path: '/one' }, { backend: 'v1' }],
      [{ port: '$P2', path: '/one' }, { status: 404 }],
      [{ port: '$P2', path: '/two' }, { backend: 'v2' }],
      [{ path: '/two' }, { status: 404 }],
      [{ path: '/three' }, { backend: 'v3' }],
      [{ port: '$P2', path: '/three' }, { backend: 'v3' }],
    ],
  },
]

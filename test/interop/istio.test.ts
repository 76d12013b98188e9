/** VirtualService, DestinationRule, ServiceEntry and kind RateLimit through a real gateway and sidecar. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { eventually, freePort } from '@weft/testkit'
import { type Ask, ask } from './ask.ts'
import { type App, startApp } from './echo.ts'
import { type Mesh, startMesh } from './mesh.ts'

interface IstioCase {
  readonly name: string
  /** The `http` routes of a VirtualService. */
  readonly http: string
  readonly rows: readonly Row[]
}

type Row = readonly [
  Partial<Ask>,
  {
    readonly status?: number
    readonly backend?: string
    readonly path?: string
    readonly response?: Readonly<Record<string, string>>
    readonly request?: Readonly<Record<string, string | undefined>>
  },
]

const to = (version: string, more = '') =>
  `route: [{destination: {host: shop.example.com, subset: ${version}}${more}}]`

const cases: readonly IstioCase[] = [
  {
    name: 'uri, headers, query, method, withoutHeaders, ignoreUriCase and their order',
    http: `
  - {match: [{uri: {exact: /exact}}, {uri: {prefix: /either/}}], ${to('v1')}}
  - {match: [{uri: {regex: "/r[0-9]+"}}], ${to('v2')}}
  - {match: [{uri: {prefix: /Case}, ignoreUriCase: true}], ${to('v2')}}
  - {match: [{headers: {x-user: {exact: jason}}, withoutHeaders: {x-off: {}}}], ${to('v2')}}
  - {match: [{queryParams: {q: {prefix: "a"}}}], ${to('v2')}}
  - {match: [{method: {exact: DELETE}}], ${to('v2')}}
  - {match: [{uri: {prefix: /rest}}], ${to('v1')}}`,
    rows: [
      [{ path: '/exact' }, { backend: 'v1' }],
      [{ path: '/exact/no' }, { status: 404 }],
      [{ path: '/either/x' }, { backend: 'v1' }],
      [{ path: '/r42' }, { backend: 'v2' }],
      [{ path: '/r42x' }, { status: 404 }],
      [{ path: '/cAsE/x' }, { backend: 'v2' }],
      [{ path: '/rest', headers: { 'x-user': 'jason' } }, { backend: 'v2' }],
      [{ path: '/rest', headers: { 'x-user': 'jason', 'x-off': '1' } }, { backend: 'v1' }],
      [{ path: '/rest?q=abc' }, { backend: 'v2' }],
      [{ path: '/rest', method: 'DELETE' }, { backend: 'v2' }],
    ],
  },
  {
    name: 'rewrite, headers of route and destination, redirect, direct response',
    http: `
  - {match: [{uri: {prefix: /old}}], rewrite: {uri: /new}, headers: {request: {set: {x-r: a}, remove: [x-gone]}, response: {add: {x-s: b}}}, ${to('v1', ', headers: {request: {add: {x-d: c}}}')}}
  - {match: [{uri: {prefix: /regex}}], rewrite: {uriRegexRewrite: {match: "^/regex/(.*)$", rewrite: '/x/\\1'}}, ${to('v1')}}
  - {match: [{uri: {prefix: /go}}], redirect: {uri: /there, authority: other.example, redirectCode: 308}}
  - {match: [{uri: {prefix: /say}}], directResponse: {status: 418, body: {string: teapot}}}`,
    rows: [
      [
        { path: '/old/a', headers: { 'x-gone': '1' } },
        {
          path: '/new/a',
          request: { 'x-r': 'a', 'x-d': 'c', 'x-gone': undefined },
          response: { 'x-s': 'b' },
        },
      ],
      [{ path: '/regex/deep' }, { path: '/x/deep' }],
      [{ path: '/go' }, { status: 308, response: { location: 'http://other.example/there' } }],
      [{ path: '/say' }, { status: 418 }],
    ],
  },
  {
    name: 'timeouts, retries, faults',
    http: `
  - {match: [{uri: {prefix: /slow}}], timeout: 0.3s, ${to('v1')}}
  - {match: [{uri: {prefix: /again}}], retries: {attempts: 3, retryOn: "5xx"}, ${to('v1')}}
  - {match: [{uri: {prefix: /abort}}], fault: {abort: {httpStatus: 599, percentage: {value: 100}}}, ${to('v1')}}
  - {match: [{uri: {prefix: /cors}}], corsPolicy: {allowOrigins: [{exact: "https://a.example"}], allowMethods: [GET]}, ${to('v1')}}`,
    rows: [
      [{ path: '/slow?delay=900' }, { status: 504 }],
      [{ path: '/slow' }, { backend: 'v1' }],
      [{ path: '/again?fail=3' }, { backend: 'v1' }],
      [{ path: '/abort' }, { status: 599 }],
      [
        { path: '/cors', headers: { origin: 'https://a.example' } },
        { response: { 'access-control-allow-origin': 'https://a.example' } },
      ],
    ],
  },
]

describe('Istio’s kinds', () => {
  const apps: App[] = []
  let mesh: Mesh
  let gateway = 0
  let sidecar = 0

  before(async () => {
    for (const name of ['v1', 'v2']) apps.push(await startApp(name))
    mesh = await startMesh()
    gateway = await freePort()
    mesh.write('mesh.yaml', meshYaml(gateway, apps))
    // Workers share a local limit out: one of them has all of it.
    await mesh.startGateway('edge', ['--namespace', 'default', '--concurrency', '1'])
    sidecar = (await mesh.startSidecar('caller')).port
  })
  after(async () => {
    await mesh[Symbol.asyncDispose]()
    for (const app of apps) await app[Symbol.asyncDispose]()
  })

  for (const [index, { name, http, rows }] of cases.entries()) {
    test(name, async () => {
      mesh.write('routes.yaml', routesYaml(index, http))
      for (const port of [gateway, sidecar]) {
        const host = `case-${index}.example.com`
        await eventually(async () => {
          assert.equal((await ask({ port, host, path: `/is-there-${index}` })).status, 299)
        })
        for (const row of rows) await assertRow(row, port, host, port === sidecar)
      }
    })
  }

  test('kind RateLimit refuses what is too much, by header', async () => {
    const host = 'limited.example.com'
    await eventually(async () => {
      const headers = { 'x-user': String(Math.random()) }
      const { headers: got } = await ask({ port: gateway, host, headers })
      assert.equal(got['x-ratelimit-limit'] === undefined, false)
    })
    const statuses: number[] = []
    for (let i = 0; i < 5; i++) {
      statuses.push((await ask({ port: gateway, host, headers: { 'x-user': 'a' } })).status)
    }
    assert.deepEqual(statuses, [200, 200, 429, 429, 429])
    assert.equal((await ask({ port: gateway, host, headers: { 'x-user': 'b' } })).status, 200)
  })
})

async function assertRow(
  [wanted, expected]: Row,
  port: number,
  host: string,
  isSecond: boolean,
): Promise<void> {
  // One application counts the failures of both ways.
  const path = (wanted.path ?? '/').replace('fail=', isSecond ? 's=1&fail=' : 'fail=')
  const answer = await ask({ ...wanted, path, port, host })
  const about = `${JSON.stringify(wanted)}: ${answer.status} ${answer.error ?? answer.text}`
  assert.equal(answer.status, expected.status ?? 200, about)
  if (expected.backend !== undefined) assert.equal(answer.echo?.backend, expected.backend)
  if (expected.path !== undefined) assert.equal(answer.echo?.path, expected.path)
  for (const [field, value] of Object.entries(expected.response ?? {})) {
    assert.equal(answer.headers[field], value, about)
  }
  for (const [field, value] of Object.entries(expected.request ?? {})) {
    assert.equal(answer.echo?.headers[field], value, about)
  }
}

function meshYaml(port: number, [first, second]: readonly App[]): string {
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop.example.com]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints:
  - {address: 127.0.0.1, ports: {http: ${first?.port}}, labels: {version: v1}}
  - {address: 127.0.0.1, ports: {http: ${second?.port}}, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop, namespace: default}
spec:
  host: shop.example.com
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: ${port}, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: limited, namespace: default}
spec:
  hosts: [limited.example.com]
  gateways: [front]
  http: [{${to('v1')}}]
---
apiVersion: weft.io/v1
kind: RateLimit
metadata: {name: limited, namespace: default}
spec:
  targetRefs: [{kind: VirtualService, name: limited}]
  limits: [{requests: 2, per: 1h, by: [{type: Header, name: x-user}]}]
  headers: true
`
}

function routesYaml(index: number, http: string): string {
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: case, namespace: default}
spec:
  hosts: [case-${index}.example.com]
  resolution: NONE
  ports: [{number: 80, name: http, protocol: HTTP}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: case, namespace: default}
spec:
  hosts: [case-${index}.example.com]
  gateways: [front, mesh]
  http:
  - {match: [{uri: {exact: /is-there-${index}}}], directResponse: {status: 299}}${http}
`
}

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { dispatch } from '../dispatch.ts'
import { fakeTerminal } from '../terminal/fake-terminal.ts'

const MESH = `
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {clusterIP: 10.96.0.10, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: mysql}
spec: {clusterIP: 10.96.0.12, ports: [{name: tcp-mysql, port: 3306}]}
---
apiVersion: v1
kind: Pod
metadata: {name: productpage-v1-abc, labels: {app: productpage}}
spec: {containers: [{name: app, image: app}]}
---
apiVersion: v1
kind: Pod
metadata: {name: edge, namespace: istio-system, labels: {istio: ingressgateway}}
spec: {containers: [{name: proxy, image: proxy}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
    - name: jason
      match:
        - headers: {end-user: {exact: jason}}
          sourceLabels: {app: productpage}
      rewrite: {uri: /v2, authority: new.example}
      headers: {request: {set: {x-seen: "yes"}, remove: [cookie]}}
      route: [{destination: {host: reviews, subset: v2}}]
    - name: split
      timeout: 2s
      mirror: {host: reviews, subset: v2}
      route:
        - {destination: {host: reviews, subset: v1}, weight: 30}
        - {destination: {host: reviews, subset: v2}, weight: 70}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
    - {port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.com]}
    - {port: {number: 80, name: http-secure, protocol: HTTP}, hosts: [secure.com], tls: {httpsRedirect: true}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop.com, secure.com]
  gateways: [edge]
  http:
    - name: old
      match: [{uri: {prefix: /old}}]
      redirect: {uri: /new, redirectCode: 302}
    - name: tea
      match: [{uri: {exact: /tea}}]
      directResponse: {status: 418, body: {string: short and stout}}
    - name: rest
      match: [{uri: {prefix: /r}}]
      route: [{destination: {host: reviews}}]
`

async function simulate(call: object | string, ...words: string[]) {
  const terminal = fakeTerminal({ stdin: MESH })
  const text = typeof call === 'string' ? call : JSON.stringify(call)
  const exitCode = await dispatch(
    ['simulate', '-f', '-', '--call', text, '--json', ...words],
    terminal,
  )
  return { exitCode, output: terminal.output(), errors: terminal.errors() }
}

const FROM_PRODUCTPAGE = ['--from', 'default/productpage']

async function answer(call: object, ...words: string[]) {
  const { output, errors, exitCode } = await simulate(call, ...words)
  assert.equal(exitCode, 0, errors)
  return JSON.parse(output)
}

describe('weft simulate', () => {
  const toReviews = { address: '10.96.0.10', port: 9080, host: 'reviews:9080', path: '/r/1?q' }

  test('names listener, virtual host, route and cluster as Istio does', async () => {
    const jason = { ...toReviews, headers: { 'End-User': 'jason', cookie: 'a=b' } }
    const result = await answer(jason, ...FROM_PRODUCTPAGE)
    assert.deepEqual(
      [result.listener, result.virtualHost, result.route, result.cluster, result.error],
      [
        '0.0.0.0_9080',
        'reviews.default.svc.cluster.local:9080',
        'jason',
        'outbound|9080|v2|reviews.default.svc.cluster.local',
        null,
      ],
    )
    assert.deepEqual(result.rewritten, {
      host: 'new.example',
      authority: 'new.example',
      path: '/v2r/1?q',
      headers: { 'end-user': 'jason', 'x-seen': 'yes' },
    })
  })

  test('because names object, rule and line', async () => {
    const result = await answer(
      { ...toReviews, headers: { 'end-user': 'jason' } },
      ...FROM_PRODUCTPAGE,
    )
    const line = MESH.split('\n').findIndex((text) => text.includes('- headers: {end-user')) + 1
    const fact = result.because.find((one: string) => one.includes('route "jason" matches'))
    assert.match(fact, /VirtualService default\/reviews spec\.http\[0\]\.match\[0\]/)
    assert.ok(fact.includes(`:${line})`), `${fact} should name line ${line}`)
  })

  test('lists all clusters of a split and names the heaviest, with timeout and mirror', async () => {
    const result = await answer(toReviews, ...FROM_PRODUCTPAGE)
    assert.equal(result.cluster, 'outbound|9080|v2|reviews.default.svc.cluster.local')
    assert.deepEqual(
      result.clusters.map(({ weight }: { weight: number }) => weight),
      [30, 70],
    )
    assert.equal(result.timeoutMs, 2_000)
    assert.equal(result.mirrors[0].percent, 100)
  })

  test('a rule for other callers does not apply', async () => {
    const result = await answer(
      { ...toReviews, headers: { 'end-user': 'jason' } },
      '--from',
      'default/details',
    )
    assert.equal(result.route, 'split')
  })

  test('passes TCP on by service address, and what nobody knows through', async () => {
    const known = await answer(
      { address: '10.96.0.12', port: 3306, protocol: 'tcp' },
      ...FROM_PRODUCTPAGE,
    )
    assert.equal(known.listener, '10.96.0.12_3306')
    assert.equal(known.cluster, 'outbound|3306||mysql.default.svc.cluster.local')
    const unknown = await answer(
      { address: '8.8.8.8', port: 53, protocol: 'tcp' },
      ...FROM_PRODUCTPAGE,
    )
    assert.equal(unknown.listener, 'virtualOutbound')
    assert.equal(unknown.cluster, 'PassthroughCluster')
  })

  test('resolves a service name as DNS would', async () => {
    const result = await answer(
      { host: 'mysql.default', port: 3306, protocol: 'tcp' },
      ...FROM_PRODUCTPAGE,
    )
    assert.equal(result.listener, '10.96.0.12_3306')
  })

  test('a call from outside goes to the gateway that listens on its port', async () => {
    const result = await answer({ host: 'shop.com', path: '/r' })
    assert.equal(result.virtualHost, 'shop.com:80')
    assert.equal(result.route, 'rest')
    assert.equal(result.cluster, 'outbound|9080||reviews.default.svc.cluster.local')
  })

  test('--from a workload whose labels match a Gateway is that gateway', async () => {
    const result = await answer({ host: 'shop.com', path: '/r' }, '--from', 'istio-system/edge')
    assert.equal(result.virtualHost, 'shop.com:80')
  })

  test('a call from outside to another port leaves a sidecar in namespace default', async () => {
    const result = await answer({ host: 'reviews', port: 9080 })
    assert.equal(result.virtualHost, 'reviews.default.svc.cluster.local:9080')
  })

  const ends: [string, object, object][] = [
    [
      'a redirect',
      { host: 'shop.com', path: '/old/1' },
      { redirect: { status: 302, location: 'http://shop.com/new' } },
    ],
    [
      'a direct response',
      { host: 'shop.com', path: '/tea' },
      { directResponse: { status: 418, body: 'short and stout' } },
    ],
    [
      'no route',
      { host: 'shop.com', path: '/x' },
      { error: 'no-route', virtualHost: 'shop.com:80' },
    ],
    ['no virtual host', { host: 'else.com' }, { error: 'no-virtual-host', virtualHost: null }],
    [
      'https wanted',
      { host: 'secure.com', path: '/r' },
      { error: 'tls-redirect', redirect: { status: 301, location: 'https://secure.com/r' } },
    ],
    ['TCP to an HTTP gateway', { host: 'shop.com', protocol: 'tcp' }, { error: 'protocol-error' }],
    [
      'TLS to an HTTP gateway',
      { host: 'shop.com', port: 80, protocol: 'https' },
      { error: 'protocol-error' },
    ],
  ]
  for (const [name, call, expected] of ends) {
    test(`says how a call ends: ${name}`, async () => {
      const result = await answer(call)
      const keys = Object.keys(expected)
      assert.deepEqual(Object.fromEntries(keys.map((key) => [key, result[key]])), expected)
    })
  }

  test('answers several calls in the form of the question', async () => {
    const array = await simulate([{ host: 'shop.com' }, { host: 'else.com' }])
    assert.equal(JSON.parse(array.output).length, 2)
    const lines = await simulate('{"host":"shop.com"}\n{"host":"else.com"}')
    assert.deepEqual(
      lines.output
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).error),
      ['no-route', 'no-virtual-host'],
    )
  })

  test('refuses what is not a call, and says so', async () => {
    const { exitCode, errors } = await simulate('{"hots":"x"}')
    assert.equal(exitCode, 2)
    assert.match(errors, /unknown field 'hots': did you mean host\?/)
  })

  test('leaves out what is invalid, as a control plane does, and says so', async () => {
    const terminal = fakeTerminal({ stdin: MESH.replace('- name: split', '- nmae: split') })
    const words = ['simulate', '-f', '-', '--call', '{"host":"reviews","port":9080}', '--json']
    assert.equal(await dispatch(words, terminal), 0)
    const result = JSON.parse(terminal.output())
    assert.equal(result.cluster, 'outbound|9080||reviews.default.svc.cluster.local')
    assert.match(result.because[0], /left out, since invalid: VirtualService default\/reviews/)
    assert.match(terminal.errors(), /did you mean "name"/)
  })

  test('shows why for people', async () => {
    const terminal = fakeTerminal({ stdin: MESH })
    const call = JSON.stringify(toReviews)
    await dispatch(['simulate', '-f', '-', '--call', call], terminal)
    assert.match(terminal.output(), /^GET http:\/\/reviews:9080\/r\/1\?q$/m)
    assert.match(terminal.output(), /because\n {2}· no gateway listens on port 9080/)
  })
})

/**
 * HTTP applications that dial out, under a control plane: their calls follow VirtualService and
 * AuthorizationPolicy as those of sidecars do, heads, copies and repeats included.
 */
import assert from 'node:assert/strict'
import { request as askHttp, createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import { HttpAgent, type MeshBroker, openMeshBroker } from '@weft/broker'
import { createHandleTransport } from '@weft/net'
import { eventually } from '@weft/testkit'
import { type Mesh, startMesh } from './mesh.ts'

const RULES = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: cart, namespace: shop }
spec:
  host: cart
  subsets:
  - { name: v1, labels: { version: v1 } }
  - { name: v2, labels: { version: v2 } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: cart, namespace: shop }
spec:
  hosts: [cart]
  http:
  - match: [{ headers: { x-user: { exact: jason } } }]
    headers:
      request: { set: { x-added: by-route }, remove: [x-secret] }
      response: { add: { x-answered: "%RESPONSE_CODE%" } }
    route: [{ destination: { host: cart, subset: v2 } }]
  - match: [{ uri: { prefix: /old/ } }]
    rewrite: { uri: /new/, authority: rewritten }
    route: [{ destination: { host: cart, subset: v1 } }]
  - match: [{ uri: { prefix: /mirrored } }]
    mirror: { host: cart, subset: v2 }
    route: [{ destination: { host: cart, subset: v1 } }]
  - match: [{ uri: { prefix: /flaky } }]
    retries: { attempts: 3, retryOn: 5xx }
    route: [{ destination: { host: cart, subset: v1 } }]
  - match: [{ uri: { prefix: /abort } }]
    fault: { abort: { httpStatus: 503, percentage: { value: 100 } } }
    route: [{ destination: { host: cart, subset: v1 } }]
  - match: [{ uri: { prefix: /moved } }]
    redirect: { uri: /there, redirectCode: 308 }
  - match: [{ uri: { prefix: /fixed } }]
    directResponse: { status: 418, body: { string: teapot } }
  - match: [{ uri: { prefix: /hangs } }]
    timeout: 0.2s
    route: [{ destination: { host: cart, subset: v1 } }]
  - route: [{ destination: { host: cart, subset: v1 } }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-deletes, namespace: shop }
spec:
  selector: { matchLabels: { app: cart } }
  action: DENY
  rules: [{ to: [{ operation: { methods: [DELETE] } }] }]
`

interface Seen {
  readonly version: string
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

describe('HTTP applications that dial out, under mesh policy', () => {
  let mesh: Mesh
  let opened: MeshBroker
  const servers: Server[] = []
  const agents: HttpAgent[] = []
  const seen: Seen[] = []
  let proxyPort = 0

  function startApplication(version: string): Promise<number> {
    const server = createServer((request, response) => {
      const { method = '', url = '', headers } = request
      seen.push({ version, method, url, headers })
      if (url.startsWith('/hangs')) return
      request.resume()
      request.on('end', () => {
        const isFlaky = url.startsWith('/flaky') && seen.filter((s) => s.url === url).length < 3
        response.writeHead(isFlaky ? 503 : 200, { 'x-version': version })
        response.end(`${version} ${method} ${url}`)
      })
    })
    servers.push(server)
    return new Promise((resolve) =>
      server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
    )
  }

  async function dial(app: string, version: string, port: number, appPort?: number) {
    const agent = new HttpAgent(
      {
        brokers: [{ kind: 'tcp', address: { host: '127.0.0.1', port } }],
        ...{ links: 1, instance: `${app}-${version}`, app: `${app}-${version}`, zone: '' },
        namespace: 'shop',
        labels: { app, version },
        services: appPort === undefined ? [] : [{ name: app, port: 9080 }],
        ...(appPort === undefined ? {} : { application: { host: '127.0.0.1', port: appPort } }),
        outbound: { host: '127.0.0.1', port: 0 },
      },
      { clock: realClock, log: silentLogger, random: Math.random },
    )
    agents.push(agent)
    await agent.open()
    return agent
  }

  function ask(path: string, headers: Record<string, string> = {}, method = 'GET') {
    const url = `http://cart:9080${path}`
    return new Promise<Answer>((resolve, reject) => {
      const request = askHttp(
        { host: '127.0.0.1', port: proxyPort, path: url, method, headers, agent: false },
        (response) => {
          let body = ''
          response.setEncoding('utf8').on('data', (text: string) => {
            body += text
          })
          response.on('error', reject)
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
          )
        },
      )
      request.on('error', reject)
      request.end()
    })
  }

  const seenOf = (url: string) => seen.filter((each) => each.url === url)

  before(async () => {
    mesh = await startMesh()
    opened = openMeshBroker(
      {
        id: 'b1',
        connect: { host: '127.0.0.1', port: mesh.controlPort },
        cluster: 'weft',
        graceMs: 1_000,
        bridgeHost: '127.0.0.1',
      },
      {
        transport: createHandleTransport(),
        clock: realClock,
        log: silentLogger,
        random: Math.random,
      },
    )
    const listen = { kind: 'tcp', address: { host: '127.0.0.1', port: 0 } } as const
    const { port } = await opened.broker.listen(listen)
    await dial('cart', 'v1', port, await startApplication('v1'))
    await dial('cart', 'v2', port, await startApplication('v2'))
    const caller = await dial('web', 'v1', port)
    proxyPort = caller.outbound?.port ?? 0
    await eventually(async () => {
      const versions = new Set<string>()
      for (let i = 0; i < 16; i++) versions.add((await ask('/any')).body.slice(0, 2))
      assert.deepEqual(versions, new Set(['v1', 'v2']), 'without rules both versions answer')
    })
    mesh.write('rules.yaml', RULES)
    await eventually(async () => assert.equal((await ask('/fixed')).status, 418))
  })

  after(async () => {
    for (const agent of agents) agent.close()
    for (const server of servers) {
      server.close()
      server.closeAllConnections()
    }
    await opened.close()
    await mesh[Symbol.asyncDispose]()
  })

  test('by header, with heads changed both ways', async () => {
    for (let i = 0; i < 8; i++) assert.equal((await ask(`/p${i}`)).headers['x-version'], 'v1')
    const answer = await ask('/jason', { 'x-user': 'jason', 'x-secret': 's' })
    assert.equal(answer.headers['x-version'], 'v2')
    assert.equal(answer.headers['x-answered'], '200')
    const [call] = seenOf('/jason')
    assert.equal(call?.headers['x-added'], 'by-route')
    assert.equal(call?.headers['x-secret'], undefined)
  })

  test('path and host are rewritten', async () => {
    assert.equal((await ask('/old/a?b=c')).body, 'v1 GET /new/a?b=c')
    assert.equal(seenOf('/new/a?b=c')[0]?.headers.host, 'rewritten')
  })

  test('a copy goes to the mirror, under a name with -shadow, and nobody waits for it', async () => {
    assert.equal((await ask('/mirrored/1')).headers['x-version'], 'v1')
    await eventually(() => assert.equal(seenOf('/mirrored/1').length, 2))
    const copy = seenOf('/mirrored/1').find(({ version }) => version === 'v2')
    assert.equal(copy?.headers.host, 'cart-shadow:9080')
    await eventually(() => assert.equal(opened.broker.openStreams, 0))
  })

  test('5xx is asked again when the policy says so and it does no harm', async () => {
    assert.equal((await ask('/flaky/get')).status, 200)
    assert.equal(seenOf('/flaky/get').length, 3)
    const answer = await ask('/flaky/post', {}, 'POST')
    assert.equal(answer.status, 503)
    assert.equal(seenOf('/flaky/post').length, 1, 'POST may do harm')
  })

  test('faults, redirects, answers without an application, timeouts, denials', async () => {
    const aborted = await ask('/abort/1')
    assert.deepEqual([aborted.status, aborted.body], [503, 'fault filter abort'])
    assert.equal(seenOf('/abort/1').length, 0)
    const moved = await ask('/moved')
    assert.deepEqual([moved.status, moved.headers.location], [308, 'http://cart:9080/there'])
    const fixed = await ask('/fixed')
    assert.deepEqual([fixed.status, fixed.body], [418, 'teapot'])
    assert.equal((await ask('/hangs')).status, 504)
    const denied = await ask('/x', {}, 'DELETE')
    assert.equal(denied.status, 403)
    assert.equal(seenOf('/x').length, 0)
  })
})

/** Every field of a TrafficPolicy, and the limits of kind RateLimit, through a real gateway. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { eventually } from '@weft/testkit'
import { type Ask, ask } from './ask.ts'
import { type CaseMesh, GATEWAY, httpRoute, startCases, to } from './gateway-api-cases.ts'
import { serviceYaml } from './mesh.ts'

const TARGETS = {
  Gateway: '{kind: Gateway, name: gw, group: gateway.networking.k8s.io}',
  HTTPRoute: '{kind: HTTPRoute, name: r}',
  Service: '{kind: Service, name: v1}',
} as const

type Target = keyof typeof TARGETS
const ALL = Object.keys(TARGETS) as Target[]

const policy = (target: Target, spec: string, kind = 'TrafficPolicy') => `---
apiVersion: weft.io/v1
kind: ${kind}
metadata: {name: p, namespace: $NS}
spec:
  targetRefs: [${TARGETS[target]}]
  ${spec}
`

const ROUTE = httpRoute('r', `  rules: [{${to('v1')}}]`)

describe('policies', () => {
  let shared: CaseMesh
  const servers: AsyncDisposable[] = []
  before(async () => {
    // Workers share local limits out: one of them has all of it.
    shared = await startCases(['--concurrency', '1'])
  })
  after(async () => {
    await shared[Symbol.asyncDispose]()
    for (const server of servers) await server[Symbol.asyncDispose]()
  })

  const under = async (target: Target, spec: string, kind?: string) => {
    const { ports, namespace } = await shared.open(GATEWAY + ROUTE + policy(target, spec, kind))
    const at = (wanted: Omit<Ask, 'port'> = {}) => ask({ port: ports.$P1, ...wanted })
    return { at, port: ports.$P1, namespace }
  }

  async function app(answer: RequestListener): Promise<number> {
    const server = createServer(answer).listen(0, '127.0.0.1')
    await once(server, 'listening')
    servers.push({
      async [Symbol.asyncDispose]() {
        server.closeAllConnections()
        server.close()
      },
    })
    return (server.address() as AddressInfo).port
  }

  /** A gateway over a Service `v1` of the case's own with these endpoints. */
  async function over(endpoints: readonly number[], spec: string) {
    const pool = serviceYaml('pool', '$NS', [{ name: 'http', port: 8080, to: endpoints }])
    const route = httpRoute('r', `  rules: [{${to('pool')}}]`)
    const own = policy('Service', spec).replace('name: v1', 'name: pool')
    const { ports } = await shared.open(GATEWAY + route + pool + own)
    return ports.$P1
  }

  for (const target of ALL) {
    test(`buffer of a ${target}`, async () => {
      const { at } = await under(target, 'buffer: {maxRequestBytes: 1000}')
      for (const isHttp2 of [false, true]) {
        const post = (size: number) => at({ method: 'POST', body: 'x'.repeat(size), isHttp2 })
        assert.equal((await post(1000)).echo?.body, 1000)
        assert.equal((await post(1001)).status, 413)
        assert.equal((await post(100_000)).status, 413)
      }
    })

    test(`compression of a ${target}`, async () => {
      const { port } = await under(
        target,
        'compression: {encodings: [br, gzip], minBytes: 500, removeAcceptEncoding: true}',
      )
      const get = async (path: string, coding: string) => {
        const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
          headers: { 'accept-encoding': coding },
        })
        return [answer.headers.get('content-encoding'), await answer.text()] as const
      }
      const large = 'z'.repeat(5000)
      assert.deepEqual(await get('/?size=5000', 'gzip, br'), ['br', large])
      assert.deepEqual(await get('/?size=5000', 'gzip'), ['gzip', large])
      assert.deepEqual(await get('/?size=5000', 'identity'), [null, large])
      assert.deepEqual(await get('/?size=499', 'gzip'), [null, 'z'.repeat(499)])
      const [, echo] = await get('/', 'gzip')
      assert.equal(JSON.parse(echo).headers['accept-encoding'], undefined)
    })

    test(`csrf of a ${target}`, async () => {
      const { at } = await under(target, 'csrf: {additionalOrigins: [{exact: friend.example}]}')
      const from = (origin: string, method = 'POST') =>
        at({ method, host: 'own.example', headers: { origin } }).then(({ status }) => status)
      assert.equal(await from('http://own.example'), 200)
      assert.equal(await from('http://friend.example'), 200)
      assert.equal(await from('http://evil.example'), 403)
      assert.equal(await from('http://evil.example', 'GET'), 200)
      assert.equal((await at({ method: 'POST', host: 'own.example' })).status, 403)
    })

    test(`adaptiveConcurrency of a ${target}: more than its limit is refused`, async () => {
      const { at } = await under(
        target,
        'adaptiveConcurrency: {minConcurrency: 1, maxConcurrency: 1, status: 529}',
      )
      const answers = await Promise.all(
        Array.from({ length: 6 }, () => at({ path: '/?delay=300' })),
      )
      const statuses = answers.map(({ status }) => status).toSorted()
      assert.deepEqual(statuses, [200, 529, 529, 529, 529, 529])
      assert.equal((await at()).status, 200)
    })

    test(`RateLimit of a ${target}: one count for all, its status and headers`, async () => {
      const { at } = await under(
        target,
        'limits: [{requests: 3, per: 1h}]\n  status: 503\n  headers: true',
        'RateLimit',
      )
      const answers: string[] = []
      for (let i = 0; i < 5; i++) {
        const { status, headers } = await at()
        answers.push(`${status} ${headers['x-ratelimit-remaining']}`)
      }
      assert.deepEqual(answers, ['200 2', '200 1', '200 0', '503 0', '503 0'])
    })

    test(`timeouts.streamIdle of a ${target}`, async () => {
      const { at } = await under(target, 'timeouts: {streamIdle: 0.2s}')
      assert.equal((await at({ path: '/?delay=1500' })).status, 504)
      assert.equal((await at()).status, 200)
    })
  }

  test('RateLimit: what is counted apart, and what a limit is for', async () => {
    const { at } = await under(
      'HTTPRoute',
      `limits:
  - {requests: 1, per: 1h, by: [{type: Path}], match: {path: {prefix: /each/}}}
  - {requests: 1, per: 1h, by: [{type: Query, name: user}], match: {methods: [PUT]}}
  - {requests: 2, per: 1h, by: [{type: SourceIp}], match: {headers: {x-a: {exact: b}}}}`,
      'RateLimit',
    )
    const statuses = async (...asked: Omit<Ask, 'port'>[]) => {
      const got: number[] = []
      for (const one of asked) got.push((await at(one)).status)
      return got
    }
    const [one, two] = [{ path: '/each/1' }, { path: '/each/2' }]
    assert.deepEqual(await statuses(one, one, two, two), [200, 429, 200, 429])
    const put = (path: string) => ({ method: 'PUT', path })
    assert.deepEqual(
      await statuses(put('/?user=a'), put('/?user=a'), put('/?user=b'), put('/'), put('/')),
      [200, 429, 200, 200, 200],
    )
    const b = { headers: { 'x-a': 'b' } }
    assert.deepEqual(await statuses(b, b, b, {}, {}), [200, 200, 429, 200, 200])
  })

  test('maxRequestHeaderBytes', async () => {
    const { at } = await under('Gateway', 'maxRequestHeaderBytes: 2048')
    for (const isHttp2 of [false, true]) {
      const sized = (size: number) => at({ headers: { 'x-large': 'a'.repeat(size) }, isHttp2 })
      assert.equal((await sized(1500)).status, 200)
      assert.equal((await sized(2100)).status, 431, `HTTP/2: ${isHttp2}`)
    }
  })

  test('headerCase: of a Gateway for answers, of a Service for requests', async () => {
    const heads: string[] = []
    const port = await app((request, response) => {
      heads.push(request.rawHeaders.filter((_, i) => i % 2 === 0).join(' '))
      response.setHeader('X-oWn', '1').end('ok')
    })
    const proper = await under('Gateway', 'headerCase: Proper')
    assert.match(
      await raw(proper.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'),
      /\r\nX-Backend: v1\r\n/,
    )
    const lower = await over([port], 'headerCase: Lower')
    await raw(lower, 'GET / HTTP/1.1\r\nHost: a\r\nX-CaSe: 1\r\n\r\n')
    assert.match(heads.at(-1) ?? '', /(?:^| )x-case(?: |$)/)
    const kept = await over([port], 'headerCase: Preserve')
    const answer = await raw(kept, 'GET / HTTP/1.1\r\nHost: a\r\nX-CaSe: 1\r\n\r\n')
    assert.match(heads.at(-1) ?? '', /(?:^| )X-CaSe(?: |$)/)
    assert.match(answer, /\r\nX-oWn: 1\r\n/)
  })

  test('accessLog: texts, JSON and none', async () => {
    const file = (name: string) => join(shared.mesh.folder, name)
    const text = await under(
      'Gateway',
      `accessLog: {path: ${file('text.log')}, format: {text: "%REQ(:METHOD)% %RESPONSE_CODE% %REQ(X-A)%\\n"}}`,
    )
    await text.at({ path: '/?status=201', headers: { 'x-a': 'b' } })
    const json = await under(
      'Gateway',
      `accessLog: {path: ${file('json.log')}, format: {json: {code: "%RESPONSE_CODE%", path: "%REQ(:PATH)%"}}}`,
    )
    await json.at({ path: '/logged' })
    await eventually(() => {
      assert.equal(readFileSync(file('text.log'), 'utf8'), 'GET 201 b\n')
      assert.deepEqual(JSON.parse(readFileSync(file('json.log'), 'utf8')), {
        ...{ code: 200, path: '/logged' },
      })
    })
    const none = await under('Gateway', `accessLog: {path: ${file('none.log')}, disabled: true}`)
    assert.equal((await none.at()).status, 200)
    assert.equal(existsSync(file('none.log')), false)
  })

  test('serverHeader: Overwrite, IfAbsent, Remove', async () => {
    const named = await app((_, response) => response.setHeader('server', 'its own').end())
    const pool = serviceYaml('pool', '$NS', [{ name: 'http', port: 8080, to: [named] }])
    const route = httpRoute(
      'r',
      `  rules: [{matches: [{path: {value: /named}}], ${to('pool')}}, {${to('v1')}}]`,
    )
    for (const [action, withOwn, without] of [
      ['action: Overwrite, value: mine', 'mine', 'mine'],
      ['action: IfAbsent, value: mine', 'its own', 'mine'],
      ['action: Remove', undefined, undefined],
    ] as const) {
      const spec = `serverHeader: {${action}}`
      const { ports } = await shared.open(GATEWAY + pool + route + policy('Gateway', spec))
      const server = async (path: string) => (await ask({ port: ports.$P1, path })).headers.server
      assert.deepEqual([await server('/named'), await server('/')], [withOwn, without], action)
    }
  })

  test('timeouts of requests, streams, and connections', async () => {
    const request = await under('Gateway', 'timeouts: {request: 0.3s}')
    const half = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf'
    assert.match(await raw(request.port, half), /^HTTP\/1\.1 408 /)
    const stream = await under('Gateway', 'timeouts: {maxStreamDuration: 0.3s}')
    const { status } = await stream.at({ path: '/?delay=2000' })
    assert.ok([408, 504].includes(status), `${status}`)
    const idle = await under('Gateway', 'timeouts: {idle: 0.3s}')
    const startedMs = performance.now()
    assert.match(
      await raw(idle.port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', true),
      /^HTTP\/1\.1 200 /,
    )
    const tookMs = performance.now() - startedMs
    assert.ok(tookMs >= 250 && tookMs < 5_000, `closed after ${tookMs} ms`)
    const whole = await under('Gateway', 'timeouts: {connectionDuration: 0.3s}')
    const twice = await raw(whole.port, 'GET /?delay=600 HTTP/1.1\r\nHost: a\r\n\r\n', true)
    assert.match(twice, /^HTTP\/1\.1 200 /)
  })

  test('sessionPersistence by cookie and by header', async () => {
    const endpoints = ['v1', 'v2', 'v3'].map((name) => shared.apps.get(name)?.port ?? 0)
    const cookie = await over(
      endpoints,
      'sessionPersistence: {cookie: {name: sid, path: /, ttl: 60s}}',
    )
    const header = await over(endpoints, 'sessionPersistence: {header: {name: x-session}}')
    const met = new Set<string | undefined>()
    for (let i = 0; i < 8; i++) {
      for (const [port, keep] of [
        [
          cookie,
          (got: Record<string, string>) => ({ cookie: got['set-cookie']?.split(';')[0] ?? '' }),
        ],
        [header, (got: Record<string, string>) => ({ 'x-session': got['x-session'] ?? '' })],
      ] as const) {
        const first = await ask({ port })
        met.add(first.echo?.backend)
        const headers = keep(first.headers)
        assert.notEqual(Object.values(headers)[0], '', JSON.stringify(first.headers))
        for (let j = 0; j < 5; j++) {
          assert.equal((await ask({ port, headers })).echo?.backend, first.echo?.backend)
        }
      }
    }
    assert.ok(met.size > 1, 'sessions are spread')
  })

  test('PEAK_EWMA prefers the faster one, hedging asks it when the slower one hesitates', async () => {
    const slow = await app((_, response) => setTimeout(() => response.end('slow'), 400))
    const fast = await app((_, response) => response.end('fast'))
    const ewma = await over([slow, fast], 'loadBalancer: {type: PEAK_EWMA, decay: 10s}')
    const texts: string[] = []
    for (let i = 0; i < 40; i++) texts.push((await ask({ port: ewma })).text)
    const slowOnes = texts.filter((text) => text === 'slow').length
    assert.ok(slowOnes <= 8, `${slowOnes} of 40 went to the slow one`)
    const hedged = await over([slow, fast], 'hedging: {after: 40ms, maxAttempts: 3}')
    for (let i = 0; i < 20; i++) assert.equal((await ask({ port: hedged })).text, 'fast')
  })

  test('healthChecks take an endpoint out and back', async () => {
    let healthy = false
    const ill = await app((request, response) => {
      const isProbe = request.url === '/healthz'
      response.writeHead(isProbe && !healthy ? 503 : 200).end('ill')
    })
    const well = await app((_, response) => response.end('well'))
    const port = await over(
      [ill, well],
      'healthChecks: [{interval: 0.1s, timeout: 1s, unhealthyThreshold: 2, http: {path: /healthz}}]',
    )
    const texts = async () => {
      const got = new Set<string>()
      for (let i = 0; i < 20; i++) got.add((await ask({ port })).text)
      return [...got].toSorted()
    }
    await eventually(async () => assert.deepEqual(await texts(), ['well']))
    healthy = true
    await eventually(async () => assert.deepEqual(await texts(), ['ill', 'well']))
  })

  test('outlierDetection by failure percentage', async () => {
    const bad = await app((_, response) => response.writeHead(500).end('bad'))
    const good = await app((_, response) => response.end('good'))
    const port = await over(
      [bad, good],
      'outlierDetection: {interval: 0.2s, baseEjectionTime: 60s, maxEjectionPercent: 50, failurePercentage: {percent: 50, minHosts: 2, minRequests: 5}}',
    )
    await eventually(async () => {
      const got = new Set<string>()
      for (let i = 0; i < 30; i++) got.add((await ask({ port })).text)
      assert.deepEqual([...got], ['good'])
    })
  })

  test('slowStart: a new endpoint gets little at first, its share in the end', async () => {
    const [old, young] = [
      await app((_, response) => response.end('old')),
      await app((_, response) => response.end('young')),
    ]
    const yaml = (endpoints: number[]) =>
      serviceYaml('pool', '$NS', [{ name: 'http', port: 8080, to: endpoints }])
    const { ports, namespace } = await shared.open(
      GATEWAY +
        httpRoute('r', `  rules: [{${to('pool')}}]`) +
        policy('Service', 'slowStart: {window: 4s, minPercent: 5}').replace(
          'name: v1',
          'name: pool',
        ),
    )
    const write = (endpoints: number[]) =>
      shared.mesh.write('pool.yaml', yaml(endpoints).replaceAll('$NS', namespace))
    const share = async () => {
      const texts = await Promise.all(
        Array.from({ length: 100 }, () => ask({ port: ports.$P1 }).then(({ text }) => text)),
      )
      return texts.filter((text) => text === 'young').length / texts.length
    }
    write([old])
    const startedMs = performance.now()
    await eventually(async () => {
      assert.equal((await ask({ port: ports.$P1 })).text, 'old')
      assert.ok(performance.now() - startedMs > 4_500, 'the old one is in its own window')
    })
    write([old, young])
    let first = 0
    await eventually(async () => {
      first = await share()
      assert.ok(first > 0)
    })
    assert.ok(first < 0.3, `${first} of the first requests`)
    await eventually(async () => assert.ok((await share()) > 0.35))
  })
})

/** Sends bytes, reads until the other side closes, or one head and body of little were there. */
function raw(port: number, text: string, untilClose = false): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    let got = ''
    socket.setTimeout(8_000, () => socket.destroy(new Error(`no end: ${got}`)))
    socket.setEncoding('latin1').on('data', (part: string) => {
      got += part
      if (!untilClose && got.includes('\r\n\r\n')) socket.destroy()
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(got))
  })
}

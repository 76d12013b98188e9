/**
 * Programs in front of a gateway and behind it: h2load with many streams on several connections,
 * curl over TLS with each version, trailers of nginx and through HAProxy.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request, type Server } from 'node:http'
import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { createTestCa, eventually, freePort } from '@weft/testkit'
import { ask } from './ask.ts'
import { type Mesh, secretYaml, serviceYaml, startMesh } from './mesh.ts'
import { missing, nginxSite, type Peer, peers } from './peers.ts'

const run = promisify(execFile)
const HOST = 'shop.example'
const LARGE = 1_000_000
const ca = createTestCa()
const server = ca.issue({ dns: [HOST] })

describe('programs around a gateway', () => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-programs-'))
  const caFile = join(dir, 'ca.pem')
  let app: Server
  let mesh: Mesh
  let haproxy: Peer | undefined
  let nginx: Awaited<ReturnType<typeof nginxSite>> | undefined
  const ports = { plain: 0, tls: 0 }

  before(async () => {
    writeFileSync(caFile, ca.caPem)
    app = createServer((asked, answer) => {
      let length = 0
      asked.on('data', (bytes: Buffer) => {
        length += bytes.length
      })
      asked.on('end', () => {
        answer.setHeader(
          'x-seen',
          `${asked.method} ${length} ${asked.headers['x-mine'] ?? ''}`.trim(),
        )
        if (asked.url === '/large') answer.end('x'.repeat(LARGE))
        else if (asked.url === '/trailers') {
          answer.setHeader('trailer', 'x-checksum')
          answer.write('body')
          answer.addTrailers({ 'x-checksum': asked.trailers['x-sent'] ?? 'none' })
          answer.end()
        } else answer.end('ok')
      })
    })
    await once(app.listen(0, '127.0.0.1'), 'listening')
    const own = (app.address() as AddressInfo).port
    if (missing('haproxy') === false) {
      haproxy = await peers.haproxy(own, { dir, server, caPem: ca.caPem })
    }
    if (missing('nginx') === false) {
      nginx = await nginxSite(
        "location / { add_trailer x-checksum nginx; return 200 'body'; }",
        dir,
      )
    }
    ports.plain = await freePort()
    ports.tls = await freePort()
    mesh = await startMesh()
    mesh.write('programs.yaml', yaml(own, haproxy?.ports.http1, haproxy?.ports.http2, nginx?.port))
    await mesh.startGateway('edge', ['--namespace', 'default'])
    await eventually(async () => {
      const { status } = await ask({ port: ports.plain, host: HOST })
      assert.equal(status, 200)
    })
  })
  after(async () => {
    await haproxy?.[Symbol.asyncDispose]()
    await nginx?.[Symbol.asyncDispose]()
    await mesh[Symbol.asyncDispose]()
    app.closeAllConnections()
    app.close()
    rmSync(dir, { recursive: true, force: true })
  })

  function yaml(own: number, http1 = 1, http2 = 1, site = 1): string {
    const rules = ['h1', 'h2', 'site'].map(
      (name) => `  - match: [{uri: {prefix: /${name}/}}]
    rewrite: {uri: /}
    route: [{destination: {host: ${name}.default.svc.cluster.local}}]
`,
    )
    return `${serviceYaml('app', 'default', [{ name: 'http', port: 80, to: [own] }])}
${serviceYaml('h1', 'default', [{ name: 'http', port: 80, to: [http1] }])}
${serviceYaml('h2', 'default', [{ name: 'http2', port: 80, to: [http2] }])}
${serviceYaml('site', 'default', [{ name: 'http', port: 80, to: [site] }])}---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  servers:
  - {port: {number: ${ports.plain}, name: http, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: ${ports.tls}, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: SIMPLE, credentialName: front}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: ["*"]
  gateways: [front]
  http:
${rules.join('')}  - route: [{destination: {host: app.default.svc.cluster.local}}]
${secretYaml('front', 'default', { 'tls.crt': server.certPem, 'tls.key': server.keyPem })}`
  }

  for (const scheme of ['http', 'https'] as const) {
    test(`h2load: 100 streams on each of 8 connections, ${scheme}`, {
      skip: missing('h2load'),
    }, async () => {
      const port = scheme === 'http' ? ports.plain : ports.tls
      const url = `${scheme}://127.0.0.1:${port}/`
      const { stdout } = await run('h2load', ['-n', '8000', '-c', '8', '-m', '100', url])
      assert.match(stdout, /8000 succeeded, 0 failed, 0 errored, 0 timeout/)
      assert.match(stdout, /status codes: 8000 2xx, 0 3xx, 0 4xx, 0 5xx/)
      assert.match(stdout, scheme === 'http' ? /protocol: h2c/ : /protocol: h2$/m)
    })
  }

  for (const version of ['1.1', '2'] as const) {
    test(`curl over TLS with HTTP/${version}`, { skip: missing('curl') }, async () => {
      const url = `https://${HOST}:${ports.tls}`
      const curl = async (...args: readonly string[]) => {
        const { stdout } = await run(
          'curl',
          [
            ...['-sS', '--cacert', caFile, '--resolve', `${HOST}:${ports.tls}:127.0.0.1`],
            ...[`--http${version}`, '-o', '/dev/null', ...args],
            ...['-w', '%{http_version} %{http_code} %{size_download} %{header_json}'],
          ],
          { timeout: 30_000 },
        )
        const [seen = '', headers = '{}'] = stdout.split(/ (?=\{)/)
        return { seen, header: JSON.parse(headers)['x-seen']?.[0] as string }
      }
      assert.deepEqual(await curl(`${url}/`, '-H', 'x-mine: 1'), {
        seen: `${version} 200 2`,
        header: 'GET 0 1',
      })
      const { seen } = await curl(`${url}/large`)
      assert.equal(seen, `${version} 200 ${LARGE}`)
      const body = join(dir, 'body')
      writeFileSync(body, Buffer.alloc(LARGE, 'b'))
      const sent = await curl(`${url}/`, '--data-binary', `@${body}`)
      assert.equal(sent.header, `POST ${LARGE}`)
      const expected = await curl(`${url}/`, '-T', body, '-H', 'Expect: 100-continue')
      assert.equal(expected.header, `PUT ${LARGE}`)
      const streamed = await curl(`${url}/`, '-T', body, '-H', 'Transfer-Encoding: chunked')
      assert.equal(streamed.header, `PUT ${LARGE}`)
      assert.equal((await curl(`${url}/`, '-I')).header, 'HEAD 0')
    })
  }

  const ways = [
    ['an application', '', false],
    ['HAProxy over HTTP/1.1', '/h1', missing('haproxy')],
    ['HAProxy over HTTP/2', '/h2', missing('haproxy')],
  ] as const
  for (const [what, path, skip] of ways) {
    test(`trailers of both directions through ${what}, from HTTP/1.1 and HTTP/2`, {
      skip,
    }, async () => {
      for (const get of [trailersHttp1, trailersHttp2]) {
        const sent = await get(ports.plain, `${path}/trailers`)
        assert.deepEqual(sent, { body: 'body', checksum: 'mine' }, get.name)
      }
    })
  }

  test('trailers of nginx reach clients of HTTP/1.1 and HTTP/2', {
    skip: missing('nginx'),
  }, async () => {
    for (const get of [trailersHttp1, trailersHttp2]) {
      const sent = await get(ports.plain, '/site/trailers')
      assert.deepEqual(sent, { body: 'body', checksum: 'nginx' }, get.name)
    }
  })
})

interface Seen {
  readonly body: string
  readonly checksum: string | undefined
}

/** Sends a trailer with its body; what came with the answer. */
function trailersHttp1(port: number, path: string): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const headers = { host: HOST, te: 'trailers', trailer: 'x-sent' }
    const sent = request(
      { host: '127.0.0.1', port, path, method: 'POST', headers, agent: false },
      (answer) => {
        let body = ''
        answer.setEncoding('utf8').on('data', (text: string) => {
          body += text
        })
        answer.on('end', () => resolve({ body, checksum: answer.trailers['x-checksum'] }))
      },
    )
    sent.on('error', reject)
    sent.write('hello')
    sent.addTrailers({ 'x-sent': 'mine' })
    sent.end()
  })
}

async function trailersHttp2(port: number, path: string): Promise<Seen> {
  const session = connect(`http://127.0.0.1:${port}`)
  try {
    const stream = session.request(
      { ':method': 'POST', ':path': path, ':authority': HOST, te: 'trailers' },
      { waitForTrailers: true },
    )
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sent': 'mine' }))
    stream.end('hello')
    let body = ''
    let checksum: string | undefined
    stream.setEncoding('utf8').on('data', (text: string) => {
      body += text
    })
    stream.on('trailers', (trailers) => {
      checksum = String(trailers['x-checksum'])
    })
    await once(stream, 'close')
    return { body, checksum }
  } finally {
    session.close()
  }
}

/**
 * AuthorizationPolicies through a real control plane and gateway: they hold as soon as their file
 * is there and no longer than that, and no spelling of a path reaches a handler that is denied,
 * whatever the server behind decodes (R48).
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, createServer, request, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join, posix } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { eventually, freePort } from '@weft/testkit'
import { type App, startApp } from './echo.ts'
import { type Mesh, startMesh } from './mesh.ts'
import { apacheSite, missing, missingApache, nginxSite } from './peers.ts'

const SECRET = 'the secret handler'

/** Decodes once, resolves dots and slashes, and only then looks: as many applications do. */
function decodingServer(): Server {
  return createServer((incoming, response) => {
    let path: string
    try {
      path = posix.normalize(decodeURIComponent((incoming.url ?? '').split('?', 1)[0] ?? ''))
    } catch {
      response.writeHead(400).end()
      return
    }
    const clean = path.replaceAll('\\', '/')
    response.end(clean === '/admin' || clean.startsWith('/admin/') ? SECRET : 'open')
  })
}

/** A servlet container: cuts parameters off every segment, then decodes, then resolves dots. */
function servletServer(): Server {
  return createServer((incoming, response) => {
    const [raw = ''] = (incoming.url ?? '').split('?', 1)
    let path: string
    try {
      const plain = raw.split('/').map((segment) => segment.split(';', 1)[0])
      path = posix.normalize(decodeURIComponent(plain.join('/')))
    } catch {
      response.writeHead(400).end()
      return
    }
    response.end(path === '/admin' || path.startsWith('/admin/') ? SECRET : 'open')
  })
}

const NGINX = `
  location = /admin { return 200 "${SECRET}"; }
  location /admin/ { return 200 "${SECRET}"; }
  location / { return 200 "open"; }`

function policy(action: string, rules: string, more = ''): string {
  return `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: edge${more}}
spec:
  selector: {matchLabels: {app: edge}}
  action: ${action}
  rules: ${rules}
`
}

function meshYaml(
  gateway: number,
  tcp: number,
  backends: Readonly<Record<string, number>>,
): string {
  const hosts = Object.keys(backends)
  const entry = (host: string, port: number, protocol: string) => `
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${host.replaceAll('.', '-')}}
spec:
  hosts: [${host}]
  ports: [{number: 80, name: main, protocol: ${protocol}}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {main: ${port}}}]`
  return `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {app: edge}
  servers:
  - {port: {number: ${gateway}, name: http, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: ${tcp}, name: tcp, protocol: TCP}, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: stream}
spec:
  hosts: ["*"]
  gateways: [edge]
  tcp: [{match: [{port: ${tcp}}], route: [{destination: {host: stream.test, port: {number: 80}}}]}]
${hosts
  .filter((host) => host !== 'stream.test')
  .map(
    (host) => `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${host.replaceAll('.', '-')}}
spec:
  hosts: [${host}]
  gateways: [edge]
  http: [{route: [{destination: {host: ${host}, port: {number: 80}}}]}]`,
  )
  .join('')}
${hosts.map((host) => entry(host, backends[host] ?? 0, host === 'stream.test' ? 'TCP' : 'HTTP')).join('')}
`
}

const agent = new Agent({ keepAlive: true, maxSockets: 8 })

interface Got {
  readonly status: number
  readonly body: string
}

function visit(port: number, host: string, path: string, method = 'GET'): Promise<Got> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, method, headers: { host }, agent }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (part: string) => {
        body += part
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    })
      .on('error', reject)
      .end()
  })
}

/** A reset is an end as well. */
function gone(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()))
}

/** Every way to write a path that some server might read as `/admin` or below. */
function spellings(): readonly string[] {
  const before = [
    '',
    '/.',
    '/x/..',
    '/x/%2e%2E',
    '/x%2f..',
    '/x%5c..',
    '/x/..;a',
    '/%2e',
    '/x/.%2e',
  ]
  const slashes = ['/', '//', '/./', '%2F', '%2f', '%5C', '/%2F', '%252f', '/%c0%af', '/;/']
  const names = ['admin', '%61dmin', 'ad%6Din', '%61%64%6d%69%6e', 'admin/', 'admin//', 'admin/x']
  const ends = ['', '/../admin', '/x/..', '%2fx', '%5cx', '?a=/open', ';a=b', '/.', '%2f..%2fadmin']
  return before.flatMap((first) =>
    slashes.flatMap((slash) =>
      names.flatMap((name) => ends.map((end) => `${first}${slash}${name}${end}`)),
    ),
  )
}

/** @returns How many spellings were let in; none of them to what is denied. */
async function spelledInAllWays(gateway: number, host: string): Promise<number> {
  const all = spellings().filter((path) => path.startsWith('/'))
  let passed = 0
  for (let from = 0; from < all.length; from += 8) {
    const part = all.slice(from, from + 8)
    const answers = await Promise.all(part.map((path) => visit(gateway, host, path)))
    for (const [index, { status, body }] of answers.entries()) {
      assert.notEqual(body, SECRET, `${host} ${part[index]}`)
      if (status === 200) passed++
    }
  }
  return passed
}

describe('AuthorizationPolicy at a gateway', () => {
  let mesh: Mesh
  let app: App
  let stream: App
  let peer: Awaited<ReturnType<typeof nginxSite>> | undefined
  let apache: Awaited<ReturnType<typeof apacheSite>> | undefined
  const dir = mkdtempSync(join(tmpdir(), 'weft-authorization-'))
  let gateway = 0
  let tcp = 0
  const decoding = decodingServer()
  const servlet = servletServer()

  before(async () => {
    app = await startApp('app')
    stream = await startApp('stream', 'tcp')
    decoding.listen(0, '127.0.0.1')
    await once(decoding, 'listening')
    servlet.listen(0, '127.0.0.1')
    await once(servlet, 'listening')
    peer = missing('nginx') === false ? await nginxSite(NGINX, dir) : undefined
    apache =
      missingApache() === false
        ? await apacheSite({ secret: SECRET, open: 'open' }, dir)
        : undefined
    mesh = await startMesh()
    gateway = await freePort()
    tcp = await freePort()
    const backends = {
      'app.test': app.port,
      'stream.test': stream.port,
      'node.test': (decoding.address() as AddressInfo).port,
      'servlet.test': (servlet.address() as AddressInfo).port,
      ...(peer === undefined ? {} : { 'nginx.test': peer.port }),
      ...(apache === undefined ? {} : { 'apache.test': apache.port }),
    }
    mesh.write('mesh.yaml', meshYaml(gateway, tcp, backends))
    await mesh.startGateway('edge', ['--namespace', 'default', '--concurrency', '1'])
    await eventually(async () => {
      assert.equal((await visit(gateway, 'app.test', '/')).status, 200)
    })
  })
  after(async () => {
    agent.destroy()
    await mesh[Symbol.asyncDispose]()
    await peer?.[Symbol.asyncDispose]()
    await apache?.[Symbol.asyncDispose]()
    decoding.close()
    servlet.close()
    rmSync(dir, { recursive: true, force: true })
    for (const one of [app, stream]) await one[Symbol.asyncDispose]()
  })

  const becomes = (path: string, status: number, host = 'app.test') =>
    eventually(async () => {
      assert.equal((await visit(gateway, host, path)).status, status)
    })

  test('holds while its file is there, for the requests it is about', async () => {
    mesh.write('policy.yaml', policy('DENY', '[{to: [{operation: {paths: ["/closed*"]}}]}]'))
    await becomes('/closed/1', 403)
    assert.deepEqual(await visit(gateway, 'app.test', '/closed'), {
      status: 403,
      body: 'RBAC: access denied',
    })
    assert.equal((await visit(gateway, 'app.test', '/open')).status, 200)
    assert.equal((await visit(gateway, 'nobody.test', '/closed')).status, 403)
    assert.equal((await visit(gateway, 'nobody.test', '/open')).status, 404)
    mesh.remove('policy.yaml')
    await becomes('/closed', 200)
  })

  test('ALLOW refuses what it does not name; without rules it refuses everything', async () => {
    mesh.write('policy.yaml', policy('ALLOW', '[{to: [{operation: {methods: [GET]}}]}]'))
    await eventually(async () => {
      assert.equal((await visit(gateway, 'app.test', '/', 'DELETE')).status, 403)
    })
    assert.equal((await visit(gateway, 'app.test', '/')).status, 200)
    mesh.write('policy.yaml', policy('ALLOW', '[]'))
    await becomes('/', 403)
    mesh.remove('policy.yaml')
    await becomes('/', 200)
  })

  test('a TCP connection is refused, and one that is open ends when its right is gone', async () => {
    const socket = connect(tcp, '127.0.0.1')
    socket.on('error', () => {})
    const closed = gone(socket)
    socket.write('hello')
    await once(socket, 'data')
    mesh.write('policy.yaml', policy('DENY', '[{from: [{source: {ipBlocks: [127.0.0.0/8]}}]}]'))
    await closed
    const next = connect(tcp, '127.0.0.1')
    next.on('error', () => {})
    let heard = 0
    next.on('data', (bytes: Buffer) => {
      heard += bytes.length
    })
    next.write('hello')
    await gone(next)
    assert.equal(heard, 0)
    mesh.remove('policy.yaml')
    await becomes('/', 200)
  })

  test('no spelling of a path reaches a handler that is denied (R48)', async () => {
    const hosts = [
      ...['node.test', 'servlet.test'],
      ...(peer === undefined ? [] : ['nginx.test']),
      ...(apache === undefined ? [] : ['apache.test']),
    ]
    for (const host of hosts) {
      assert.equal((await visit(gateway, host, '/admin')).body, SECRET, host)
    }
    mesh.write(
      'policy.yaml',
      policy('DENY', '[{to: [{operation: {paths: [/admin, "/admin/*"]}}]}]'),
    )
    await becomes('/admin', 403)
    for (const host of hosts) {
      assert.equal((await visit(gateway, host, '/admin')).status, 403, host)
    }
    let passed = 0
    for (const host of hosts) passed += await spelledInAllWays(gateway, host)
    assert.ok(passed > 0, 'some spellings mean another path and pass')
  })
})

/** grpcio, the gRPC of Python programs: a real client and a real server with a gateway between them. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createTestCa, freePort } from '@weft/testkit'
import { type Mesh, secretYaml, serviceYaml, startMesh } from './mesh.ts'

const run = promisify(execFile)
const SCRIPT = join(import.meta.dirname, 'python-grpc.py')
/** Where `.ci/run` puts what Python programs need. */
const PACKAGES = fileURLToPath(new URL('../../.ci/python', import.meta.url))
const env = { ...process.env, PYTHONPATH: PACKAGES }
const HOST = 'python.example'
const ca = createTestCa()
const certificate = ca.issue({ dns: [HOST] })

const isThere = spawnSync('python3', ['-c', 'import grpc'], { env }).status === 0
const skip = isThere ? false : 'Python has no grpcio'

const SEEN = {
  reply: 'hello',
  given: 'mine',
  length: '5',
  raw: [0, 255],
  failure: ['FAILED_PRECONDITION', 'nicht möglich: 100 %'],
  large: 2_000_000,
  pulled: [100, 4_950],
  pushed: '100000',
  chatted: 'abc',
  unknown: 'UNIMPLEMENTED',
}

describe('grpcio of Python', { skip }, () => {
  let server: ChildProcess
  let mesh: Mesh
  const ports = { plain: 0, tls: 0, sidecar: 0 }

  before(async () => {
    server = spawn('python3', [SCRIPT, 'serve'], { env, stdio: ['ignore', 'pipe', 'inherit'] })
    assert.ok(server.stdout !== null)
    const [line] = (await once(server.stdout.setEncoding('utf8'), 'data')) as [string]
    ports.plain = await freePort()
    ports.tls = await freePort()
    mesh = await startMesh()
    mesh.write('python.yaml', pythonYaml(Number(line), ports.plain, ports.tls))
    writeFileSync(join(mesh.folder, 'ca.pem'), ca.caPem)
    await mesh.startGateway('edge', ['--namespace', 'default'])
    ports.sidecar = (await mesh.startSidecar('caller')).port
  })
  after(async () => {
    const gone = once(server, 'exit')
    server.kill('SIGKILL')
    await gone
    await mesh[Symbol.asyncDispose]()
  })

  for (const way of ['plain', 'tls', 'sidecar'] as const) {
    test(`all kinds of calls through ${way === 'sidecar' ? 'a sidecar' : `a gateway, ${way}`}`, async () => {
      const target = `127.0.0.1:${ports[way]}`
      const authority = way === 'sidecar' ? 'rpc.default.svc.cluster.local' : HOST
      const trust = way === 'tls' ? [join(mesh.folder, 'ca.pem')] : []
      const { stdout } = await run('python3', [SCRIPT, 'call', target, authority, ...trust], {
        env,
        timeout: 60_000,
      })
      assert.deepEqual(JSON.parse(stdout), SEEN)
    })
  }
})

function pythonYaml(app: number, plain: number, tls: number): string {
  return `${serviceYaml('rpc', 'default', [{ name: 'grpc', port: 80, to: [app] }])}---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  servers:
  - {port: {number: ${plain}, name: grpc, protocol: GRPC}, hosts: ["*"]}
  - {port: {number: ${tls}, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: SIMPLE, credentialName: front}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: rpc, namespace: default}
spec:
  hosts: [${HOST}]
  gateways: [front]
  http: [{route: [{destination: {host: rpc.default.svc.cluster.local, port: {number: 80}}}]}]
${secretYaml('front', 'default', { 'tls.crt': certificate.certPem, 'tls.key': certificate.keyPem })}`
}

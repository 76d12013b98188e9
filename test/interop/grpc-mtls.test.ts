/**
 * gRPC programs that are their own proxies (`@grpc/grpc-js-xds`), server and client: configuration from
 * the control plane, certificates from the files of `weft agent`, mutual TLS between them.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { eventually, freePort } from '@weft/testkit'
import { type IdentityMesh, policy, startIdentityMesh, strictEntry } from './identity-mesh.ts'

let mesh: IdentityMesh
let port = 0
let server: ReturnType<typeof spawn> | undefined
let serverSays = ''

before(async () => {
  mesh = await startIdentityMesh('grpc-mtls')
  port = await freePort()
  mesh.write('strict.yaml', policy('STRICT'))
  mesh.write('echo.yaml', strictEntry('echo', 'GRPC', port, 'server'))
  mesh.write('forged.yaml', strictEntry('forged', 'GRPC', port, 'somebody-else'))
  for (const name of ['server', 'client']) await startAgent(name)
  server = spawn(process.execPath, [program('server'), `127.0.0.1:${port}`], {
    env: {
      ...process.env,
      GRPC_XDS_BOOTSTRAP: join(mesh.folder, 'server.json'),
      // Without it the library refuses a listener with policies, and keeps the one before.
      GRPC_XDS_EXPERIMENTAL_RBAC: 'true',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const hear = (text: string) => {
    serverSays += text
  }
  server.stdout?.setEncoding('utf8').on('data', hear)
  server.stderr?.setEncoding('utf8').on('data', hear)
  await eventually(() => assert.match(serverSays, /the server is up/), 20_000)
})

after(async () => {
  if (server !== undefined && server.exitCode === null) {
    const gone = once(server, 'exit')
    server.kill('SIGKILL')
    await gone
  }
  await mesh[Symbol.asyncDispose]()
})

test('a gRPC client and a gRPC server speak mutual TLS with identities of the mesh', async () => {
  await eventually(async () => {
    const answer = await ask('xds:///echo.example:80')
    assert.deepEqual(
      answer,
      { text: 'URI:spiffe://cluster.local/ns/default/sa/client' },
      serverSays,
    )
  }, 40_000)
})

test('who shows no certificate is not answered', async () => {
  const { text, error } = await ask(`127.0.0.1:${port}`)
  assert.equal(text, undefined)
  assert.ok(error !== undefined)
})

test('a client refuses a server that runs as another service account than the service', async () => {
  const { text, error } = await ask('xds:///forged.example:80')
  assert.equal(text, undefined)
  assert.ok(error !== undefined)
})

test('a server that is its own proxy holds the policies of its workload', async () => {
  mesh.write('allow.yaml', allow('somebody-else'))
  await eventually(async () => {
    const { error = '' } = await ask('xds:///echo.example:80')
    assert.match(error, /./, serverSays)
  }, 20_000)
  mesh.write('allow.yaml', allow('client'))
  await eventually(async () => {
    const { text } = await ask('xds:///echo.example:80')
    assert.equal(text, 'URI:spiffe://cluster.local/ns/default/sa/client')
  }, 20_000)
})

function allow(account: string): string {
  return `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: echo, namespace: default}
spec: {rules: [{from: [{source: {principals: ['cluster.local/ns/default/sa/${account}']}}]}]}
`
}

/** With its bootstrap beside it. */
async function startAgent(name: string): Promise<void> {
  const certificates = join(mesh.folder, `${name}-certs`)
  const control = ['--control', `127.0.0.1:${mesh.xdsPort}`]
  const files = ['--cert-dir', certificates]
  const socket = join(mesh.folder, name, 'workload.sock')
  const who = ['--service-account', name]
  await mesh.start(['agent', ...control, ...who, ...files, '--socket', socket], 'It is spiffe://')
  const { output, errors } = await mesh.weft(['bootstrap', 'grpc', ...control, ...who, ...files])
  assert.equal(errors, '')
  writeFileSync(join(mesh.folder, `${name}.json`), output)
}

function program(name: string): string {
  return fileURLToPath(new URL(`./grpc-mtls/${name}.ts`, import.meta.url))
}

async function ask(target: string): Promise<{ readonly text?: string; readonly error?: string }> {
  const child = spawn(process.execPath, [program('client'), target], {
    env: { ...process.env, GRPC_XDS_BOOTSTRAP: join(mesh.folder, 'client.json') },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  await once(child, 'close')
  return JSON.parse(output) as { readonly text?: string; readonly error?: string }
}

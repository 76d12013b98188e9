/**
 * A trust domain that gets another name, one mesh after the other: two control planes with the same
 * CA, old.example as it was and new.example, which has the old name as its alias (R42, R43).
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { eventually, freePort } from '@weft/testkit'
import { APP, call, type IdentityMesh, policy, startIdentityMesh } from './identity-mesh.ts'

const folder = mkdtempSync(join(tmpdir(), 'weft-alias-'))
let newer: IdentityMesh
let older: IdentityMesh
/** Of a caller in each mesh. */
const outbound = { newer: 0, older: 0 }

before(async () => {
  const certs = ownCa()
  const start = (name: string, mesh: string) =>
    startIdentityMesh(name, ['--ca-certs', certs], meshConfig(mesh))
  newer = await start('newer', 'trustDomain: new.example\n    trustDomainAliases: [old.example]')
  older = await start('older', 'trustDomain: old.example')
  newer.write('strict.yaml', policy('STRICT'))
  older.write('strict.yaml', policy('STRICT'))
  const inbound = {
    newer: await startApp(newer, 'cart'),
    older: await startApp(older, 'stock'),
  }
  older.write('cart.yaml', serviceEntry('cart', inbound.newer, 'new.example'))
  newer.write('stock.yaml', serviceEntry('stock', inbound.older, 'old.example'))
  outbound.newer = await startCaller(newer)
  outbound.older = await startCaller(older)
})

after(async () => {
  await older?.[Symbol.asyncDispose]()
  await newer?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

/** A root that names no trust domain, as companies have it. */
function ownCa(): string {
  const certs = join(folder, 'cacerts')
  mkdirSync(certs)
  const [key, root] = [join(certs, 'ca-key.pem'), join(certs, 'root-cert.pem')]
  const how = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const rules = ['-addext', 'keyUsage=critical,keyCertSign', '-subj', '/O=Acme/CN=root']
  const files = ['-keyout', key, '-out', root]
  execFileSync('openssl', ['req', '-x509', ...how, ...rules, ...files], { stdio: 'ignore' })
  copyFileSync(root, join(certs, 'ca-cert.pem'))
  return certs
}

async function startApp(mesh: IdentityMesh, service: string): Promise<number> {
  const inbound = await freePort()
  await mesh.start(
    [
      ...['run', '--control', `127.0.0.1:${mesh.xdsPort}`, '--service', service, '--port', '80'],
      ...['--app-port', '0', '--service-account', service, '--inbound', `127.0.0.1:${inbound}`],
      ...['--', process.execPath, '--eval', APP],
    ],
    'the application is up',
  )
  return inbound
}

async function startCaller(mesh: IdentityMesh): Promise<number> {
  const port = await freePort()
  await mesh.start(
    [
      ...['proxy', '--control', `127.0.0.1:${mesh.xdsPort}`, '--name', 'web'],
      ...['--service-account', 'web', '--admin', '127.0.0.1:0'],
      ...['--outbound', `127.0.0.1:${port}`],
    ],
    'It has its configuration',
  )
  return port
}

const peerOf = (body: string) => String(JSON.parse(body)['x-forwarded-client-cert'])
const callCart = () => call(outbound.older, 'cart.other', 'http://cart.other/')
const callStock = () => call(outbound.newer, 'stock.other', 'http://stock.other/')

test('who still has the old name is let in by the new one, as who it is', async () => {
  await eventually(async () => {
    const answer = await callCart()
    assert.equal(answer?.status, 200)
    assert.match(peerOf(answer.body), /URI=spiffe:\/\/old\.example\/ns\/default\/sa\/web$/)
  }, 30_000)
})

test('the other way the new name is nobody: no alias says otherwise', async () => {
  assert.equal((await callStock())?.status, 503)
})

test('policies that are written with either name hold for both', async () => {
  for (const [principal, status] of [
    ['new.example/ns/default/sa/somebody', 403],
    ['new.example/ns/default/sa/web', 200],
    ['other.example/ns/default/sa/web', 403],
    ['old.example/ns/default/sa/web', 200],
    ['cluster.local/ns/default/sa/web', 200],
  ] as const) {
    newer.write('allow.yaml', allow(principal))
    await eventually(
      async () => assert.equal((await callCart())?.status, status, principal),
      20_000,
    )
  }
})

function meshConfig(mesh: string): string {
  return `apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    ${mesh}
`
}

function serviceEntry(name: string, port: number, trustDomain: string): string {
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: default}
spec:
  hosts: [${name}.other]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: ${port}}, labels: {security.istio.io/tlsMode: istio}}]
  subjectAltNames: ["spiffe://${trustDomain}/ns/default/sa/${name}"]
`
}

function allow(principal: string): string {
  return `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: allow, namespace: default}
spec:
  selector: {matchLabels: {app: cart}}
  rules: [{from: [{source: {principals: ["${principal}"]}}]}]
`
}

/**
 * Two meshes, each with a CA and a control plane of its own, that believe each other: bundles over
 * both of SPIFFE's profiles, and mutual TLS from a workload of one to a workload of the other.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { eventually, freePort } from '@weft/testkit'
import { APP, call, type IdentityMesh, policy, startIdentityMesh } from './identity-mesh.ts'

const CART = 'spiffe://east.example/ns/default/sa/cart'
const WEB = 'spiffe://west.example/ns/default/sa/web'
const folder = mkdtempSync(join(tmpdir(), 'weft-federation-'))
let east: IdentityMesh
let west: IdentityMesh
let outbound = 0

before(async () => {
  const [eastPort, westPort] = [await freePort(), await freePort()]
  // East knows West's server by its name, as any web server.
  const web = join(folder, 'web')
  mkdirSync(web)
  const name = ['-subj', '/CN=west', '-addext', 'subjectAltName=IP:127.0.0.1']
  const files = ['-keyout', join(web, 'tls.key'), '-out', join(web, 'tls.crt')]
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  execFileSync('openssl', ['req', '-x509', ...key, ...name, ...files], { stdio: 'ignore' })
  const ofEast = write('of-east.json', [
    {
      trustDomain: 'west.example',
      bundleUrl: `https://127.0.0.1:${westPort}/`,
      profile: 'https_web',
      caFile: 'web/tls.crt',
    },
  ])
  east = await startIdentityMesh(
    'east',
    ['--bundle-endpoint', `127.0.0.1:${eastPort}`, '--federation', ofEast],
    meshConfig('east.example'),
  )
  const exported = await east.weft([
    ...['ca', 'export', '--spiffe', '--control', `127.0.0.1:${east.adminPort}`],
  ])
  assert.equal(exported.exitCode, 0, exported.errors)
  write('east.json', JSON.parse(exported.output))
  // West knows East's server by its SPIFFE ID.
  const ofWest = write('of-west.json', [
    {
      trustDomain: 'east.example',
      bundleUrl: `https://127.0.0.1:${eastPort}/`,
      profile: 'https_spiffe',
      endpointSpiffeId: 'spiffe://east.example/ns/istio-system/sa/istiod',
      bundleFile: 'east.json',
    },
  ])
  const serve = ['--bundle-endpoint', `127.0.0.1:${westPort}`, '--bundle-endpoint-tls', web]
  west = await startIdentityMesh(
    'west',
    [...serve, '--federation', ofWest],
    meshConfig('west.example'),
  )
  await startWorkloads()
})

after(async () => {
  await west?.[Symbol.asyncDispose]()
  await east?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

async function startWorkloads(): Promise<void> {
  const inbound = await freePort()
  east.write('strict.yaml', policy('STRICT'))
  await east.start(
    [
      ...['run', '--control', `127.0.0.1:${east.xdsPort}`, '--service', 'cart', '--port', '80'],
      ...['--app-port', '0', '--service-account', 'cart', '--inbound', `127.0.0.1:${inbound}`],
      ...['--', process.execPath, '--eval', APP],
    ],
    'the application is up',
  )
  west.write('cart.yaml', serviceEntry('cart', inbound, CART))
  west.write('forged.yaml', serviceEntry('forged', inbound, `${CART}-too`))
  outbound = await freePort()
  await west.start(
    [
      ...['proxy', '--control', `127.0.0.1:${west.xdsPort}`, '--name', 'web'],
      ...['--service-account', 'web', '--admin', '127.0.0.1:0'],
      ...['--outbound', `127.0.0.1:${outbound}`],
    ],
    'It has its configuration',
  )
}

const callCart = () => call(outbound, 'cart.east', 'http://cart.east/')

test('a workload of one mesh calls a workload of the other, and is known there', async () => {
  // East asks again until West is up.
  await eventually(async () => {
    const answer = await callCart()
    assert.equal(answer?.status, 200)
    const told = String(JSON.parse(answer.body)['x-forwarded-client-cert'])
    assert.match(told, new RegExp(`By=${CART};.*URI=${WEB}$`))
  }, 60_000)
})

test('who is called must be who is expected, in the other mesh too (R42)', async () => {
  const answer = await call(outbound, 'forged.east', 'http://forged.east/')
  assert.equal(answer?.status, 503)
})

test('policies name workloads of the other mesh', async () => {
  east.write('allow.yaml', allow('west.example/ns/default/sa/somebody-else'))
  await eventually(async () => assert.equal((await callCart())?.status, 403), 20_000)
  east.write('allow.yaml', allow('west.example/ns/default/sa/web'))
  await eventually(async () => assert.equal((await callCart())?.status, 200), 20_000)
})

function write(name: string, value: unknown): string {
  const path = join(folder, name)
  writeFileSync(path, JSON.stringify(value))
  return path
}

function meshConfig(trustDomain: string): string {
  return `apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    trustDomain: ${trustDomain}
`
}

function serviceEntry(name: string, port: number, id: string): string {
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: default}
spec:
  hosts: [${name}.east]
  ports: [{number: 80, name: http, protocol: HTTP}]
  location: MESH_INTERNAL
  resolution: STATIC
  subjectAltNames: ['${id}']
  endpoints:
    - {address: 127.0.0.1, ports: {http: ${port}}, labels: {security.istio.io/tlsMode: istio}}
`
}

function allow(principal: string): string {
  return `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: cart, namespace: default}
spec: {rules: [{from: [{source: {principals: ['${principal}']}}]}]}
`
}

/** A workload under STRICT is asked how it is by who has no identity: by the port for probes only. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { eventually, freePort, startWeft, temporaryFolder } from './weft.ts'

const STRICT = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
`
const APP = `
let isWell = true
require('node:http').createServer((request, response) => {
  if (request.url === '/fail') isWell = false
  response.statusCode = request.url === '/healthz' && !isWell ? 503 : 200
  response.end('private')
}).listen(process.env.PORT, '127.0.0.1')
`

async function statusOf(port: number, path: string): Promise<number | undefined> {
  return fetch(`http://127.0.0.1:${port}${path}`).then(
    async (response) => {
      const body = await response.text()
      return body === '' || response.status !== 200 ? response.status : undefined
    },
    () => undefined,
  )
}

test('a probe reaches the application under STRICT, and nothing else without an identity does', async () => {
  await using folder = await temporaryFolder()
  await mkdir(join(folder.path, 'mesh'))
  writeFileSync(join(folder.path, 'mesh', 'strict.yaml'), STRICT)
  const ports = await Promise.all(Array.from({ length: 5 }, () => freePort()))
  const [xds = 0, admin = 0, inbound = 0, app = 0, probe = 0] = ports
  await using control = startWeft([
    ...['control', join(folder.path, 'mesh'), '--xds', `127.0.0.1:${xds}`],
    ...['--admin', `127.0.0.1:${admin}`, '--state', join(folder.path, 'plane')],
  ])
  await control.saw('Control plane is up')
  await using workload = startWeft([
    ...['run', '--control', `127.0.0.1:${xds}`, '--state', join(folder.path, 'state')],
    ...['--service', 'app', '--port', '80', '--app-port', `${app}`],
    ...['--inbound', `127.0.0.1:${inbound}`, '--probe', `127.0.0.1:${probe}`],
    ...['--probe-path', '/healthz', '--', process.execPath, '-e', APP],
  ])
  await eventually(
    () => statusOf(probe, '/healthz'),
    (status) => status === 200,
    30_000,
  )
  assert.equal(await statusOf(probe, '/'), 404)
  // Held until the configuration is there, then refused: bytes of the application never come.
  assert.equal(await statusOf(inbound, '/healthz'), undefined)
  assert.equal(await (await fetch(`http://127.0.0.1:${app}/fail`)).text(), 'private')
  assert.equal(await statusOf(probe, '/healthz'), 503)
  assert.equal(workload.process.exitCode, null)
})

/** Who may call whom in a mesh that runs: what its proxies were told is what the answers are made of. */
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { eventually, freePort, runWeft, serverCode, startWeft, temporaryFolder } from './weft.ts'

const POLICY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: web, namespace: default}
spec:
  rules:
    - from: [{source: {principals: ["cluster.local/ns/default/sa/web"]}}]
      to: [{operation: {paths: ["/x*"]}}]
`

const STRICT = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: all, namespace: istio-system}
spec:
  mtls: {mode: STRICT}
`

test('weft can and weft describe answer for a running mesh', async () => {
  await using place = await temporaryFolder()
  const folder = place.path
  const mesh = join(folder, 'mesh')
  await mkdir(mesh)
  await writeFile(join(mesh, 'policy.yaml'), POLICY)
  await writeFile(join(mesh, 'strict.yaml'), STRICT)
  const [xds, admin, port] = [await freePort(), await freePort(), await freePort()]
  const state = { env: { XDG_STATE_HOME: join(folder, 'state') } }
  const addresses = ['--xds', `127.0.0.1:${xds}`, '--admin', `127.0.0.1:${admin}`]
  await using plane = startWeft(['up', mesh, ...addresses, '--http', String(port)], state)
  await plane.saw('weft run')
  const run = ['run', '--service', 'pay', '--port', '80', '--app-port', '0']
  const command = ['--control', `127.0.0.1:${xds}`, '--', process.execPath, '-e', serverCode('pay')]
  await using app = startWeft([...run, ...command], state)
  const control = ['--control', `127.0.0.1:${admin}`]
  const can = (...words: string[]) => runWeft(['can', 'default/pay', ...words, ...control], state)
  const allowed = await eventually(
    () => can('--from', 'default/web', '--path', '/x/1'),
    ({ exitCode }) => exitCode === 0,
    30_000,
  )
  assert.equal(allowed.errors, '', app.errors())
  assert.match(allowed.output, /AuthorizationPolicy default\/web rule 0\n.*policy\.yaml:6/)
  const denied = await can('--from', 'default/other', '--path', '/x/1', '--json')
  assert.equal(denied.exitCode, 1, denied.errors)
  const { mtls } = JSON.parse(denied.output)
  assert.deepEqual([mtls.mode, mtls.policy], ['STRICT', 'istio-system/all'])
  assert.match(mtls.origin, /strict\.yaml:5$/)
  const plain = await can('--plaintext', '--path', '/x/1')
  assert.equal(plain.exitCode, 1, plain.errors)
  assert.match(plain.output, /PeerAuthentication istio-system\/all/)
  const described = await runWeft(['describe', 'default/pay', '--json', ...control], state)
  assert.equal(described.exitCode, 0, described.errors)
  assert.match(described.output, /"AuthorizationPolicy","name":"default\/web"/)
})

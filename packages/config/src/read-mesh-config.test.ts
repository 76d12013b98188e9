import assert from 'node:assert/strict'
import { test } from 'node:test'
import { documentsOf } from './document.ts'
import { parseDocuments } from './parse.ts'
import { readMeshConfig } from './read-mesh-config.ts'

function read(mesh: string) {
  const indented = mesh.replaceAll(/^/gm, '    ')
  const text = `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: settings, namespace: istio-system }\ndata:\n  mesh: |\n${indented}\n`
  const { documents, problems } = parseDocuments(text, { file: 'mesh.yaml' })
  assert.deepEqual(problems, [])
  return readMeshConfig(documentsOf(documents, 'ConfigMap')[0])
}

test('without a ConfigMap the defaults of Istio hold', () => {
  const { meshConfig, problems } = readMeshConfig(undefined)
  assert.deepEqual(problems, [])
  assert.deepEqual(meshConfig.outboundTrafficPolicy, { mode: 'ALLOW_ANY' })
  assert.equal(meshConfig.trustDomain, 'cluster.local')
  assert.equal(meshConfig.rootNamespace, 'istio-system')
  assert.equal(meshConfig.connectTimeout, '10s')
  assert.deepEqual(meshConfig.defaultVirtualServiceExportTo, ['*'])
})

test('what is set wins, the rest is default', () => {
  const { meshConfig, problems } = read(
    'outboundTrafficPolicy:\n  mode: REGISTRY_ONLY\naccessLogFile: /dev/stdout\ndefaultHttpRetryPolicy:\n  attempts: 0\ndefaultConfig:\n  holdApplicationUntilProxyStarts: true\n  somethingOfTomorrow: 1',
  )
  assert.deepEqual(
    problems.map(({ path, code }) => [path, code]),
    [
      ['data.mesh.defaultConfig.somethingOfTomorrow', 'unknown-field'],
      ['data.mesh.defaultConfig.holdApplicationUntilProxyStarts', 'not-acted-on'],
    ],
  )
  assert.deepEqual(meshConfig.outboundTrafficPolicy, { mode: 'REGISTRY_ONLY' })
  assert.equal(meshConfig.accessLogFile, '/dev/stdout')
  assert.equal(meshConfig.accessLogEncoding, 'TEXT')
  assert.deepEqual(meshConfig.defaultHttpRetryPolicy, { attempts: 0 })
  assert.equal(meshConfig.defaultConfig?.holdApplicationUntilProxyStarts, true)
})

test('broken settings are reported at their line, and the defaults hold', () => {
  const { meshConfig, problems } = read(
    'accessLogFile: /dev/stdout\noutboundTrafficPolicy:\n  mode: 1',
  )
  assert.deepEqual(
    problems.map(({ file, line, path, severity }) => [file, line, path, severity]),
    [['mesh.yaml', 8, 'data.mesh.outboundTrafficPolicy.mode', 'error']],
  )
  assert.equal(meshConfig.accessLogFile, '')
})

test('settings that are no YAML are reported, not thrown', () => {
  const { problems } = read('a: "open\nb: 1')
  assert.deepEqual(
    problems.map(({ code }) => code),
    ['syntax'],
  )
})

test('what stands in front of the gateways is acted on', () => {
  const { meshConfig, problems } = read(
    'defaultConfig:\n  gatewayTopology: {numTrustedProxies: 2, forwardClientCertDetails: SANITIZE_SET}',
  )
  assert.deepEqual(problems, [])
  assert.equal(meshConfig.defaultConfig?.gatewayTopology?.numTrustedProxies, 2)
  const bad = read('defaultConfig: {gatewayTopology: {numTrustedProxies: -1}}')
  assert.deepEqual(
    bad.problems.map(({ path, severity }) => [path, severity]),
    [['data.mesh.defaultConfig.gatewayTopology.numTrustedProxies', 'error']],
  )
})

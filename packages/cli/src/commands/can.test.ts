import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { dispatch } from '../dispatch.ts'
import { fakeTerminal } from '../terminal/fake-terminal.ts'

const MESH = `apiVersion: v1
kind: Service
metadata: {name: pay, namespace: a}
spec: {selector: {app: pay}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: pay-v1, namespace: a, labels: {app: pay, version: v1}}
spec: {serviceAccountName: pay, containers: [{name: app, image: app}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: a}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: web, namespace: a}
spec:
  rules:
    - from: [{source: {principals: ["cluster.local/ns/a/sa/web"]}}]
      to: [{operation: {methods: [GET], paths: ["/x*"]}}]
      when: [{key: "request.headers[x-tier]", values: [gold]}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: pay, namespace: a}
spec: {host: pay, subsets: [{name: v1, labels: {version: v1}}]}
`

let dir = ''
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'weft-can-'))
  await writeFile(join(dir, 'mesh.yaml'), MESH)
})
after(() => rm(dir, { recursive: true }))

async function weft(...words: string[]) {
  const terminal = fakeTerminal({ cwd: dir })
  const exitCode = await dispatch([...words, '-f', 'mesh.yaml'], terminal)
  return { exitCode, output: terminal.output(), errors: terminal.errors() }
}

const GOLD = ['--path', '/x/1', '--header', 'x-tier=gold']

test('weft can: 0 is yes and 1 is no, and it says who decided', async () => {
  const yes = await weft('can', 'a/pay', '--from', 'a/web', ...GOLD)
  assert.equal(yes.exitCode, 0, yes.errors)
  assert.match(yes.output, /^allowed {2}GET \/x\/1 to a\/pay:8080 from spiffe:.*\/ns\/a\/sa\/web/)
  assert.match(yes.output, /AuthorizationPolicy a\/web rule 0\n.*mesh\.yaml:21/)
  const denials: readonly (readonly string[])[] = [
    ['--from', 'a/other', ...GOLD],
    ['--from', 'a/web', '--path', '/x/1'],
    ['--from', 'a/web', ...GOLD, '--header', 'x-tier=lead'],
    ['--from', 'a/web', ...GOLD, '--method', 'POST'],
    ['--from', 'a/web', ...GOLD, '--plaintext'],
    GOLD,
  ]
  for (const words of denials) {
    const no = await weft('can', 'a/pay', ...words)
    assert.equal(no.exitCode, 1, `${words.join(' ')}: ${no.output}${no.errors}`)
    assert.match(no.output, /^denied/)
  }
})

test('weft can --json says the same for programs', async () => {
  const { output, exitCode } = await weft('can', 'a/pay', ...GOLD, '--json')
  const answer = JSON.parse(output)
  assert.equal(exitCode, 1)
  assert.deepEqual(
    [answer.allowed, answer.decision, answer.authorization.policy, answer.mtls.plaintext],
    [false, 'deny', 'a/strict', 'refused'],
  )
  assert.equal(answer.call.host, 'pay.a.svc.cluster.local')
})

test('weft can refuses what it cannot ask', async () => {
  for (const [words, message] of [
    [['--header', 'gold'], /--header must look like name=value/],
    [['--claim', 'group'], /--claim must look like name=value/],
    [['--from', 'a b/c'], /source.principal must be like/],
    [['--ip', 'here'], /must be an IP address/],
  ] as const) {
    const { exitCode, errors } = await weft('can', 'a/pay', ...words)
    assert.equal(exitCode, 2)
    assert.match(errors, message)
  }
})

test('weft describe lists what holds, each with the line it comes from', async () => {
  const workload = await weft('describe', 'workload', 'a/pay-v1', '--json')
  assert.equal(workload.exitCode, 0, workload.errors)
  const pod = JSON.parse(workload.output)
  assert.equal(pod.origin, 'mesh.yaml:6')
  assert.equal(pod.identity[0].principal, 'spiffe://cluster.local/ns/a/sa/pay')
  const [port] = pod.ports
  assert.deepEqual(
    { ...port },
    {
      port: 8080,
      service: 80,
      protocol: 'http',
      mtls: 'STRICT',
      by: 'a/strict',
      where: 'mesh.yaml:14',
    },
  )
  const policies = pod.policies.map((one: Record<string, string>) => [
    one.kind,
    one.name,
    one.where,
  ])
  assert.deepEqual(policies, [
    ['PeerAuthentication', 'a/strict', 'mesh.yaml:11'],
    ['AuthorizationPolicy', 'a/web', 'mesh.yaml:16'],
  ])
  const service = JSON.parse((await weft('describe', 'a/pay', '--json')).output)
  assert.equal(service.kind, 'service')
  assert.deepEqual(service.subsets, [{ name: 'v1', labels: 'version=v1', where: 'mesh.yaml:28' }])
  assert.deepEqual(
    service.workloads.map(({ name }: { readonly name: string }) => name),
    ['a/pay-v1'],
  )
})

test('weft describe says that something is not there', async () => {
  const { exitCode, errors } = await weft('describe', 'a/nobody')
  assert.equal(exitCode, 1)
  assert.match(errors, /There is no workload, service, gateway or route a\/nobody/)
  assert.equal((await weft('describe', 'thing', 'a/pay')).exitCode, 2)
})

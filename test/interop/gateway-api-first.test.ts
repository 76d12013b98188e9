/**
 * Who waits for `Programmed=True` gets the right answer to the very first request, in whatever
 * order the objects came.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTestCa, eventually, freePort, seededRandom } from '@weft/testkit'
import { ask } from './ask.ts'
import { startApp } from './echo.ts'
import { GATEWAY, gatewayClass, httpRoute, to } from './gateway-api-cases.ts'
import { conditionLines, type Mesh, secretYaml, serviceYaml, startMesh } from './mesh.ts'

const ROUNDS = 50
const SEED = Number(process.env.WEFT_SEED ?? 1)

test(`the first request after Programmed=True is answered right (seed ${SEED})`, async () => {
  const random = seededRandom(SEED)
  const ca = createTestCa()
  const { certPem, keyPem } = ca.issue({ dns: ['a.example'] })
  await using app = await startApp('v1')
  await using mesh = await startMesh()
  await mesh.startGateway('edge')
  mesh.write('class.yaml', gatewayClass)
  for (let round = 0; round < ROUNDS; round++) {
    const namespace = `round-${round}`
    const port = await freePort()
    const isTls = round % 2 === 1
    const gateway = isTls
      ? GATEWAY.replace(
          'protocol: HTTP',
          'protocol: HTTPS, tls: {certificateRefs: [{name: tls}]}, hostname: a.example',
        )
      : GATEWAY
    const texts: [string, string][] = [
      ['gateway', gateway],
      ['route', httpRoute('r', `  rules: [{${to('v1')}}]`)],
      ['service', serviceYaml('v1', '$NS', [{ name: 'http', port: 8080, to: [app.port] }])],
    ]
    if (isTls) {
      texts.push(['secret', secretYaml('tls', '$NS', { 'tls.crt': certPem, 'tls.key': keyPem })])
    }
    const order = texts
      .map((text) => ({ text, at: random() }))
      .toSorted((a, b) => a.at - b.at)
      .map(({ text }) => text)
    for (const [name, text] of order) {
      const filled = text.replaceAll('$NS', namespace).replaceAll('$P1', String(port))
      mesh.write(`${namespace}-${name}.yaml`, filled)
      // Some come in one change, some each in its own.
      if (random() < 0.4) await new Promise((resolve) => setTimeout(resolve, random() * 60))
    }
    await eventually(async () => assertProgrammed(mesh, namespace))
    const names = order.map(([name]) => name).join(', ')
    const answer = await ask({
      ...{ port, path: `/${round}`, host: 'a.example' },
      ...(isTls ? { sni: 'a.example', ca: ca.caPem } : {}),
    })
    assert.equal(answer.echo?.backend, 'v1', `${names}: ${answer.status} ${answer.error ?? ''}`)
  }
})

async function assertProgrammed(mesh: Mesh, namespace: string): Promise<void> {
  const { objects } = await mesh.status()
  const find = (wanted: string) =>
    objects.find((object) => object.kind === wanted && object.namespace === namespace)?.status
  const gateway = conditionLines(find('Gateway')?.conditions)
  assert.ok(gateway.includes('Programmed=True Programmed'), gateway.join(', '))
  const route = conditionLines(find('HTTPRoute')?.parents?.[0]?.conditions)
  assert.ok(route.includes('Accepted=True Accepted'), route.join(', '))
  assert.ok(route.includes('ResolvedRefs=True ResolvedRefs'), route.join(', '))
}

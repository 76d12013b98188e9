/** A port that somebody else has, from the gateway that cannot bind it to the status of its Gateway. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { eventually, freePort, runWeft } from '../e2e/weft.ts'
import { conditionLines, type MeshStatus, startMesh } from './mesh.ts'

const gateway = (ports: readonly number[]) => `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: default}
spec:
  gatewayClassName: weft
  allowedListeners: {namespaces: {from: Same}}
  listeners:
${ports.map((port, i) => `  - {name: l${i}, port: ${port}, protocol: HTTP}\n`).join('')}`

const listenerSet = (port: number) => `apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: more, namespace: default}
spec:
  parentRef: {name: gw}
  listeners:
  - {name: extra, port: ${port}, protocol: HTTP}
`

const ROUTE = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: default}
spec:
  parentRefs: [{name: gw}, {kind: ListenerSet, name: more, group: gateway.networking.k8s.io}]
  rules: [{filters: [{type: RequestRedirect, requestRedirect: {statusCode: 302, path: {type: ReplaceFullPath, replaceFullPath: /there}}}]}]
`

function listenersOf({ objects }: MeshStatus, kind: string): Record<string, readonly string[]> {
  const listeners = objects.find((one) => one.kind === kind)?.status?.listeners ?? []
  return Object.fromEntries(
    listeners.map(({ name, conditions }) => [
      name,
      conditionLines(conditions).filter((line) => /^(Accepted|Programmed)/.test(line)),
    ]),
  )
}

const SERVED = ['Accepted=True Accepted', 'Programmed=True Programmed']
const UNAVAILABLE = ['Accepted=False PortUnavailable', 'Programmed=False PortUnavailable']

async function statusOf(port: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/`, { redirect: 'manual' })
  return response.status
}

test('listeners whose ports are taken say PortUnavailable, the others are served, and all are once the ports are free', async () => {
  await using mesh = await startMesh()
  const thieves = await Promise.all(
    [0, 1].map(async () => {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      return server
    }),
  )
  const taken = thieves.map((one) => {
    const address = one.address()
    assert.ok(typeof address === 'object' && address !== null)
    return address.port
  })
  const [first = 0, second = 0] = taken
  const free = await freePort()
  try {
    mesh.write('gw.yaml', `${gateway([free, first])}---\n${listenerSet(second)}---\n${ROUTE}`)
    await mesh.startGateway('gw')
    const refused = await eventually(
      () => mesh.status(),
      (status) =>
        listenersOf(status, 'Gateway').l0?.[1] === SERVED[1] &&
        listenersOf(status, 'ListenerSet').extra?.[0] === UNAVAILABLE[0],
      20_000,
    )
    assert.deepEqual(listenersOf(refused, 'Gateway'), { l0: SERVED, l1: UNAVAILABLE })
    assert.deepEqual(listenersOf(refused, 'ListenerSet'), { extra: UNAVAILABLE })
    const own = (kind: string) => refused.objects.find((one) => one.kind === kind)
    assert.deepEqual(conditionLines(own('Gateway')?.status?.conditions), [
      'Accepted=True ListenersNotValid',
      'Programmed=True Programmed',
    ])
    assert.deepEqual(conditionLines(own('ListenerSet')?.status?.conditions), [
      'Accepted=False ListenersNotValid',
      'Programmed=False ListenersNotValid',
    ])
    const why = new RegExp(`cannot bind '127\\.0\\.0\\.1:${first}': .*EADDRINUSE`)
    assert.match(own('Gateway')?.summary ?? '', why)
    assert.equal(await statusOf(free), 302)

    for (const one of thieves) one.close()
    await eventually(
      () => mesh.status(),
      (status) =>
        listenersOf(status, 'Gateway').l1?.[1] === SERVED[1] &&
        listenersOf(status, 'ListenerSet').extra?.[1] === SERVED[1],
      20_000,
    )
    assert.deepEqual(await Promise.all([free, first, second].map(statusOf)), [302, 302, 302])
  } finally {
    for (const one of thieves) one.close()
  }
})

test('weft status and weft describe name the port that is taken, for a gateway of two processes too', async () => {
  await using mesh = await startMesh()
  const thief = createServer().listen(0, '127.0.0.1')
  await once(thief, 'listening')
  const address = thief.address()
  assert.ok(typeof address === 'object' && address !== null)
  try {
    mesh.write('gw.yaml', gateway([await freePort(), address.port]))
    await mesh.startGateway('gw', ['--concurrency', '2'])
    const shown = async (...args: string[]) => {
      const { output } = await runWeft([...args, '--control', mesh.adminUrl])
      return output
    }
    const isTold = (text: string) =>
      text.includes('PortUnavailable') && text.includes(`cannot bind '127.0.0.1:${address.port}'`)
    await eventually(() => shown('status'), isTold, 20_000)
    assert.ok(isTold(await shown('describe', 'gateway', 'default/gw')))
  } finally {
    thief.close()
  }
})

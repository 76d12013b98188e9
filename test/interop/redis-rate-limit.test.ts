/**
 * `mode: Global` with a real Redis: two control planes, each with a sidecar of its own, count
 * together; a Redis that dies stops nobody, and is used again when it is back.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { eventually, freePort } from '@weft/testkit'
import { type Mesh, serviceYaml, startMesh } from './mesh.ts'
import { missing } from './peers.ts'

const LIMIT = 40
const PASSWORD = 'not so secret'
const COUNTED = 'global rate limits are counted in Redis'

const POLICY = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: [web.default.svc.cluster.local]
  http: [{name: all, route: [{destination: {host: web.default.svc.cluster.local}}]}]
---
apiVersion: weft.io/v1
kind: RateLimit
metadata: {name: shop, namespace: default}
spec:
  targetRefs: [{kind: VirtualService, name: shop}]
  mode: Global
  limits: [{requests: ${LIMIT}, per: 1h, by: [{type: Header, name: x-user}]}]
`

function statusOf(port: number, user: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const host = 'web.default.svc.cluster.local'
    const headers = { host, 'x-user': user }
    const to = { host: '127.0.0.1', port, path: `http://${host}/`, headers, agent: false }
    const sent = request(to, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0))
    })
    sent.on('error', reject).end()
  })
}

function startRedis(t: TestContext, port: number): ChildProcess {
  const redis = spawn(
    'redis-server',
    [
      ...['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
      ...['--requirepass', PASSWORD, '--dir', '/tmp'],
    ],
    { stdio: 'ignore' },
  )
  t.after(() => redis.kill('SIGKILL'))
  return redis
}

/** How many of `count` requests, in turn to each proxy, are let pass. */
async function passing(ports: readonly number[], user: string, count: number): Promise<number> {
  let allowed = 0
  for (let i = 0; i < count; i += 10) {
    const statuses = await Promise.all(
      Array.from({ length: 10 }, (_, at) => statusOf(ports[at % ports.length] ?? 0, user)),
    )
    for (const status of statuses) assert.ok(status === 200 || status === 429, `${status}`)
    allowed += statuses.filter((status) => status === 200).length
  }
  return allowed
}

const countedLines = ({ control }: Mesh) => control.errors().split(COUNTED).length - 1

test('control planes count together in a Redis', { skip: missing('redis-server') }, async (t) => {
  const app = createServer((asked, answer) => {
    asked.resume().on('end', () => answer.end('ok'))
  })
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    app.closeAllConnections()
    app.close()
  })
  const redisPort = await freePort()
  const redis = startRedis(t, redisPort)
  const options = [
    ...['--log-level', 'info'],
    '--rate-limit-redis',
    `redis://:${encodeURIComponent(PASSWORD)}@127.0.0.1:${redisPort}/2`,
  ]
  await using first = await startMesh(options)
  await using second = await startMesh(options)
  const { port: to } = app.address() as AddressInfo
  const ports: number[] = []
  for (const mesh of [first, second]) {
    mesh.write(
      'service.yaml',
      serviceYaml('web', 'default', [{ name: 'http', port: 80, to: [to] }]),
    )
    mesh.write('policy.yaml', POLICY)
    const { port } = await mesh.startSidecar('caller')
    await eventually(async () => assert.equal(await statusOf(port, 'warm'), 200))
    await mesh.control.saw(new RegExp(COUNTED))
    ports.push(port)
  }

  const together = await passing(ports, 'ann', 120)
  // An hour's limit does not refill within the test by more than one.
  assert.ok(together <= LIMIT + 1 && together >= LIMIT * 0.7, `${together}`)

  const gone = once(redis, 'exit')
  redis.kill('SIGKILL')
  await gone
  // Each control plane counts alone: nobody is refused for want of a Redis.
  const [port = 0] = ports
  const alone = await passing([port], 'bob', 60)
  assert.ok(alone <= LIMIT + 1 && alone >= LIMIT * 0.7, `${alone}`)
  await first.control.saw(/Redis does not count global rate limits/)

  startRedis(t, redisPort)
  await eventually(() => assert.equal(countedLines(first), 2), 20_000)
  assert.equal(await statusOf(port, 'carl'), 200)
})

/** A gateway of several processes looks like one: to the control plane, to a scraper, to whoever upgrades it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { eventually, freePort, proxyToken, runWeft, startWeft, temporaryFolder } from './weft.ts'

const REQUESTS = 60

interface Info {
  readonly state: string
  readonly command_line_options: { readonly concurrency: number }
  readonly weft: { readonly pid: number; readonly workers: { readonly pid: number }[] }
}

test('two workers are one proxy', async () => {
  await using folder = await temporaryFolder()
  const mesh = join(folder.path, 'mesh')
  await mkdir(mesh)
  const app = createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1')
  await using _app = { [Symbol.asyncDispose]: async () => void app.close() }
  await once(app, 'listening')
  const address = app.address()
  assert.ok(typeof address === 'object' && address !== null)
  const [xds, controlAdmin, admin, port] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ]
  await writeFile(join(mesh, 'mesh.yaml'), meshYaml(address.port))
  await using control = startWeft([
    ...['control', mesh, '--xds', `127.0.0.1:${xds}`, '--admin', `127.0.0.1:${controlAdmin}`],
    ...['--state', join(folder.path, 'plane')],
  ])
  await control.saw('Control plane is up')
  const line = [
    ...['proxy', '--role', 'gateway', '--concurrency', '2', '--control', `127.0.0.1:${xds}`],
    ...['--state', join(folder.path, 'state'), '--bind', '127.0.0.1', '--map', `80=${port}`],
    ...['--admin', `127.0.0.1:${admin}`],
  ]
  // As npx starts it: such a process ends with its parent, a successor does not.
  await using gateway = startWeft(line, { env: { npm_command: 'exec' } })
  await gateway.saw('It has its configuration')
  const ask = async (path: string, method = 'GET') => {
    const authorization = `Bearer ${await proxyToken(admin)}`
    const answer = await fetch(`http://127.0.0.1:${admin}${path}`, {
      method,
      headers: { authorization },
    })
    return answer.text()
  }
  const info = async (): Promise<Info> => JSON.parse(await ask('/server_info'))
  const count = async () =>
    Number(/cluster\.[^\n]*app[^\n]*\.upstream_rq_total: (\d+)/.exec(await ask('/stats'))?.[1] ?? 0)

  await eventually(
    () => call(port),
    (status) => status === 200,
  )
  const before = await count()
  for (let i = 0; i < REQUESTS; i++) assert.equal(await call(port), 200)
  assert.equal(await count(), before + REQUESTS)
  assert.match(await ask('/ready'), /LIVE/)
  const listeners = (await ask('/listeners')).trim().split('\n')
  assert.equal(listeners.filter((line) => line.endsWith(`:${port}`)).length, 1)
  assert.match(await ask('/logging?paths=engine:debug', 'POST'), /engine: debug/)
  const first = await info()
  assert.equal(first.command_line_options.concurrency, 2)
  assert.equal(first.weft.workers.length, 2)

  const status = await runWeft([
    ...['status', '--json', '--control', `http://127.0.0.1:${controlAdmin}`],
  ])
  assert.equal(JSON.parse(status.output).proxies.length, 1)

  // A limit is the proxy's, whichever worker a connection comes to.
  const limited = []
  for (let i = 0; i < 6; i++) limited.push(await call(port, 'limited.example'))
  assert.deepEqual(limited, [200, 200, 429, 429, 429, 429])

  // What a worker counted outlives it.
  const [victim] = first.weft.workers
  assert.ok(victim)
  process.kill(victim.pid, 'SIGKILL')
  await eventually(info, ({ weft }) => weft.workers.every(({ pid }) => pid !== victim.pid))
  assert.ok((await count()) >= before + REQUESTS)

  const upgraded = await runWeft([
    ...['proxy', 'upgrade', '--admin', `127.0.0.1:${admin}`, '--concurrency', '3', '--json'],
  ])
  assert.equal(upgraded.exitCode, 0, upgraded.errors)
  const told = JSON.parse(upgraded.output)
  assert.deepEqual([told.ok, told.before.workers, told.after.workers], [true, 2, 3])
  assert.equal(told.before.pid, first.weft.pid)
  assert.equal(await call(port), 200)
  const last = await info()
  assert.equal(last.weft.pid, told.after.pid)
  await eventually(
    () => gateway.process.exitCode,
    (exitCode) => exitCode === 0,
  )
  const again = await runWeft(['proxy', 'upgrade', '--admin', `127.0.0.1:${admin}`, '--json'])
  assert.equal(again.exitCode, 0, again.errors)
  const { before: second, after: third } = JSON.parse(again.output)
  assert.equal(second.pid, told.after.pid)
  assert.equal(await call(port), 200)
  const newest = await info()
  assert.equal(newest.weft.pid, third.pid)
  process.kill(third.pid, 'SIGTERM')
  const all = [second.pid, third.pid, ...newest.weft.workers.map(({ pid }) => pid)]
  await eventually(
    () => all.filter(isAlive),
    (alive) => alive.length === 0,
  )
})

test('an upgrade of nobody says so', async () => {
  const port = await freePort()
  const { exitCode, errors } = await runWeft(['proxy', 'upgrade', '--admin', `127.0.0.1:${port}`])
  assert.equal(exitCode, 3)
  assert.match(errors, /No proxy answers/)
})

/** On a connection of its own; 0 without an answer. */
function call(port: number, host = 'app.example'): Promise<number> {
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port, agent: false, headers: { host } }
    const asked = request(options, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0))
    })
    asked.on('error', () => resolve(0)).end()
  })
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function meshYaml(appPort: number): string {
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: app, namespace: default }
spec:
  hosts: [app.example]
  ports: [{ number: 80, name: http, protocol: HTTP }]
  resolution: STATIC
  endpoints: [{ address: 127.0.0.1, ports: { http: ${appPort} } }]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: gateway, namespace: default }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: app, namespace: default }
spec:
  hosts: ['*']
  gateways: [gateway]
  http: [{ route: [{ destination: { host: app.example, port: { number: 80 } } }] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: limited, namespace: default }
spec:
  hosts: [limited.example]
  gateways: [gateway]
  http: [{ route: [{ destination: { host: app.example, port: { number: 80 } } }] }]
---
apiVersion: weft.io/v1
kind: RateLimit
metadata: { name: limited, namespace: default }
spec:
  targetRefs: [{ kind: VirtualService, name: limited }]
  limits: [{ requests: 2, per: 1h }]
`
}

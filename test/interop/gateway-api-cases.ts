/**
 * What the tables of Gateway API cases are made of, and the mesh that all cases of a table share:
 * each case has a namespace and ports of its own, beside all the others on one gateway.
 */
import assert from 'node:assert/strict'
import { eventually, freePort } from '@weft/testkit'
import { type Answer, type Ask, ask } from './ask.ts'
import { type App, startApp } from './echo.ts'
import { conditionLines, type Mesh, type MeshStatus, serviceYaml, startMesh } from './mesh.ts'

interface Expected {
  /** Default 200. */
  readonly status?: number
  readonly backend?: string
  /** As the application saw them; undefined: not there. */
  readonly path?: string
  readonly host?: string
  readonly request?: Readonly<Record<string, string | undefined>>
  readonly response?: Readonly<Record<string, string | undefined>>
}

export type Row = readonly [Omit<Ask, 'port'> & { readonly port?: '$P1' | '$P2' }, Expected]

export interface Case {
  readonly name: string
  /** `$NS`, `$P1` and `$P2` stand for the namespace and two free ports. */
  readonly yaml: string
  readonly rows: readonly Row[]
}

export interface CaseMesh extends AsyncDisposable {
  readonly mesh: Mesh
  readonly apps: ReadonlyMap<string, App>
  /** Writes what belongs to a case and waits until its status says that it is in force. */
  open(yaml: string): Promise<OpenCase>
}

export interface OpenCase {
  readonly namespace: string
  readonly ports: Readonly<Record<'$P1' | '$P2', number>>
}

/** Three services v1, v2, v3 on port 8080 in every case's namespace. */
export async function startCases(gatewayArgs: readonly string[] = []): Promise<CaseMesh> {
  const names = ['v1', 'v2', 'v3']
  const apps = new Map(
    await Promise.all(names.map(async (name) => [name, await startApp(name)] as const)),
  )
  const mesh = await startMesh()
  mesh.write('class.yaml', gatewayClass)
  await mesh.startGateway('edge', gatewayArgs)
  let count = 0
  return {
    mesh,
    apps,
    async open(yaml) {
      const namespace = `case-${++count}`
      const ports = { $P1: await freePort(), $P2: await freePort() }
      const services = names.map((name) =>
        serviceYaml(name, namespace, [
          { name: 'http', port: 8080, to: [apps.get(name)?.port ?? 0] },
        ]),
      )
      mesh.write(`${namespace}.yaml`, services.join('') + fill(yaml, { namespace, ports }))
      await eventually(async () => assertInForce(await mesh.status(), namespace))
      return { namespace, ports }
    },
    async [Symbol.asyncDispose]() {
      await mesh[Symbol.asyncDispose]()
      for (const app of apps.values()) await app[Symbol.asyncDispose]()
    },
  }
}

export const gatewayClass = `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: weft}
spec: {controllerName: weft.io/gateway-controller}
`

export function fill(text: string, { namespace, ports }: OpenCase): string {
  return text
    .replaceAll('$NS', namespace)
    .replaceAll('$P1', String(ports.$P1))
    .replaceAll('$P2', String(ports.$P2))
}

/** Every gateway of the namespace is programmed and every route has been judged. */
export function assertInForce({ objects }: MeshStatus, namespace: string): void {
  const own = objects.filter((object) => object.namespace === namespace)
  const gateways = own.filter(({ kind }) => kind === 'Gateway' || kind === 'ListenerSet')
  assert.ok(gateways.length > 0, 'no gateway yet')
  for (const { name, status } of gateways) {
    const lines = conditionLines(status?.conditions)
    assert.ok(lines.includes('Programmed=True Programmed'), `${name}: ${lines.join(', ')}`)
  }
  for (const { kind, name, status } of own.filter((object) => object.kind.endsWith('Route'))) {
    assert.ok(status?.parents !== undefined && status.parents.length > 0, `${kind} ${name}`)
  }
}

export async function assertRow(
  [wanted, expected]: Row,
  { namespace, ports }: OpenCase,
): Promise<void> {
  const about = JSON.stringify(wanted)
  const answer = await ask({ ...wanted, port: ports[wanted.port ?? '$P1'] })
  const value = (text: string | undefined) =>
    text === undefined ? undefined : fill(text, { namespace, ports })
  assert.equal(answer.status, expected.status ?? 200, `${about}: ${explain(answer)}`)
  const { backend, path, host } = expected
  if (backend !== undefined) assert.equal(answer.echo?.backend, backend, about)
  if (path !== undefined) assert.equal(answer.echo?.path, value(path), about)
  if (host !== undefined) assert.equal(answer.echo?.host, value(host), about)
  for (const [name, field] of Object.entries(expected.request ?? {})) {
    assert.equal(answer.echo?.headers[name], value(field), `${about}: request ${name}`)
  }
  for (const [name, field] of Object.entries(expected.response ?? {})) {
    assert.equal(tight(answer.headers[name]), tight(value(field)), `${about}: response ${name}`)
  }
}

/** Spaces in lists are free. */
function tight(list: string | undefined): string | undefined {
  return list?.replaceAll(/,\s+/g, ',')
}

function explain({ status, text, error }: Answer): string {
  return `${status} ${error ?? text.slice(0, 300)}`
}

/** A Gateway with one HTTP listener for all routes of its namespace. */
export const GATEWAY = `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: $NS}
spec:
  gatewayClassName: weft
  listeners: [{name: http, port: $P1, protocol: HTTP}]
`

/** An HTTPRoute of the gateway of the case; `spec` is YAML that goes below `parentRefs`. */
export function httpRoute(name: string, spec: string, parentRefs = '[{name: gw}]'): string {
  return `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: ${name}, namespace: $NS}
spec:
  parentRefs: ${parentRefs}
${spec}
`
}

export const to = (name: string, more = '') => `backendRefs: [{name: ${name}, port: 8080${more}}]`

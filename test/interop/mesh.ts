/**
 * A mesh as people run one: `weft control` over a watched folder, `weft proxy` as gateways and
 * sidecars, each a process of its own. Files are the only input.
 */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '@weft/testkit'
import { ownerToken, type Running, startWeft } from '../e2e/weft.ts'

export interface Written {
  readonly type: string
  readonly status: string
  readonly reason: string
  readonly message: string
  readonly observedGeneration?: number
}

export interface ObjectRow {
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly summary: string
  readonly phase?: string
  readonly status?: {
    readonly conditions?: readonly Written[]
    readonly listeners?: readonly {
      readonly name: string
      readonly attachedRoutes: number
      readonly supportedKinds: readonly { readonly kind: string }[]
      readonly conditions: readonly Written[]
    }[]
    readonly parents?: readonly {
      readonly parentRef: {
        readonly name: string
        readonly sectionName?: string
        readonly namespace?: string
      }
      readonly conditions: readonly Written[]
    }[]
    readonly ancestors?: readonly { readonly conditions: readonly Written[] }[]
  }
}

export interface MeshStatus {
  readonly generation: string | null
  readonly objects: readonly ObjectRow[]
  readonly problems: readonly { readonly message: string }[]
  readonly refused: readonly unknown[]
}

export interface Mesh extends AsyncDisposable {
  readonly control: Running
  readonly controlPort: number
  /** Of the control plane's admin API. */
  readonly adminUrl: string
  /** Where last good states and other files of the mesh are. */
  readonly folder: string
  /** Written aside and renamed: nobody reads half a file. */
  write(file: string, text: string): void
  remove(file: string): void
  status(): Promise<MeshStatus>
  proxies(): Promise<string>
  /** Ports that Gateways name are bound as they are. */
  startGateway(name: string, more?: readonly string[]): Promise<Running>
  /** @returns Where its application's HTTP_PROXY points. */
  startSidecar(name: string, more?: readonly string[]): Promise<Running & { readonly port: number }>
}

/** @param more Options of `weft control`. */
export async function startMesh(more: readonly string[] = []): Promise<Mesh> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-mesh-'))
  const mesh = join(folder, 'mesh')
  mkdirSync(mesh)
  const [xds, admin] = [await freePort(), await freePort()]
  const started: Running[] = []
  const control = startWeft([
    ...['control', mesh, '--xds', `127.0.0.1:${xds}`, '--admin', `127.0.0.1:${admin}`],
    ...['--state', join(folder, 'plane'), ...more],
  ])
  started.push(control)
  await control.saw('Control plane is up')
  const ask = async (path: string) => {
    const { body } = await plainGet(admin, path, await ownerToken(admin))
    return body
  }
  const startProxy = async (args: readonly string[]) => {
    const proxy = startWeft([
      ...['proxy', '--control', `127.0.0.1:${xds}`, '--admin', '127.0.0.1:0'],
      ...['--state', join(folder, `state-${started.length}`), ...args],
    ])
    started.push(proxy)
    await proxy.saw('It has its configuration')
    return proxy
  }
  return {
    control,
    controlPort: xds,
    adminUrl: `http://127.0.0.1:${admin}`,
    folder,
    write(file, text) {
      const path = join(mesh, file)
      writeFileSync(join(folder, 'new'), text)
      renameSync(join(folder, 'new'), path)
    },
    remove: (file) => rmSync(join(mesh, file)),
    status: async () => JSON.parse(await ask('/v1/status')) as MeshStatus,
    proxies: () => ask('/v1/proxies'),
    startGateway: (name, more = []) =>
      startProxy(['--role', 'gateway', '--name', name, '--bind', '127.0.0.1', ...more]),
    async startSidecar(name, more = []) {
      const port = await freePort()
      const proxy = await startProxy(['--name', name, '--outbound', `127.0.0.1:${port}`, ...more])
      return { ...proxy, port }
    },
    async [Symbol.asyncDispose]() {
      for (const one of started.reverse()) await one[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function plainGet(port: number, path: string, token: string): Promise<{ readonly body: string }> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` }
    const request = get({ host: '127.0.0.1', port, path, headers, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        body += chunk
      })
      response.on('end', () => resolve({ body }))
      response.on('error', reject)
    })
    request.on('error', reject)
  })
}

/** `Type=Status Reason` of conditions, in their order. */
export function conditionLines(conditions: readonly Written[] | undefined): string[] {
  return (conditions ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`)
}

/** A Kubernetes Service whose endpoints are on this machine. */
export function serviceYaml(
  name: string,
  namespace: string,
  ports: readonly {
    readonly name: string
    readonly port: number
    readonly to: readonly number[]
    readonly appProtocol?: string
  }[],
): string {
  const slices = ports.flatMap((port) =>
    port.to.map(
      (to, index) => `---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ${name}-${port.name}-${index}, namespace: ${namespace}, labels: {kubernetes.io/service-name: ${name}}}
addressType: IPv4
ports: [{name: ${port.name}, port: ${to}}]
endpoints: [{addresses: [127.0.0.1]}]
`,
    ),
  )
  const written = ports.map(
    ({ name: portName, port, appProtocol }) =>
      `{name: ${portName}, port: ${port}${appProtocol === undefined ? '' : `, appProtocol: ${appProtocol}`}}`,
  )
  return `---
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: ${namespace}}
spec: {ports: [${written.join(', ')}]}
${slices.join('')}`
}

export function secretYaml(
  name: string,
  namespace: string,
  data: Readonly<Record<string, string>>,
): string {
  const lines = Object.entries(data).map(
    ([key, value]) => `${JSON.stringify(key)}: ${Buffer.from(value).toString('base64')}`,
  )
  return `---
apiVersion: v1
kind: Secret
metadata: {name: ${name}, namespace: ${namespace}}
data: {${lines.join(', ')}}
`
}

/**
 * A mesh for the tests of identities: a control plane, and workloads in processes of their own that
 * share its user, so that nobody needs a token.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '@weft/testkit'
import { type Finished, type Running, startWeft } from '../e2e/weft.ts'

export interface IdentityMesh extends AsyncDisposable {
  readonly folder: string
  readonly xdsPort: number
  readonly adminPort: number
  /** Below the folder that the control plane watches. */
  write(file: string, text: string): void
  /** Runs until the mesh goes; resolves when its output has `seen`. */
  start(args: readonly string[], seen: string): Promise<Running>
  /** Runs to its end. */
  weft(args: readonly string[]): Promise<Finished>
}

/** @param more Options of the control plane. */
export async function startIdentityMesh(
  name: string,
  more: readonly string[] = [],
  meshConfig?: string,
): Promise<IdentityMesh> {
  const folder = mkdtempSync(join(tmpdir(), `weft-${name}-`))
  const mesh = join(folder, 'mesh')
  mkdirSync(mesh)
  const [xdsPort, adminPort] = [await freePort(), await freePort()]
  const env = { XDG_STATE_HOME: join(folder, 'state') }
  const started: Running[] = []
  const start = async (args: readonly string[], seen: string) => {
    const running = startWeft(args, { env })
    started.push(running)
    await running.saw(seen)
    return running
  }
  const write = (file: string, text: string) => writeFileSync(join(mesh, file), text)
  if (meshConfig !== undefined) write('mesh-config.yaml', meshConfig)
  await start(
    [
      ...['control', mesh, '--xds', `127.0.0.1:${xdsPort}`],
      ...['--admin', `127.0.0.1:${adminPort}`, '--state', join(folder, 'plane'), ...more],
    ],
    'Control plane is up',
  )
  return {
    folder,
    xdsPort,
    adminPort,
    write,
    start,
    weft: (args) => startWeft(args, { env }).finished,
    async [Symbol.asyncDispose]() {
      for (const one of started.reverse()) await one[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Says who called it, as its proxy knows it. */
export const APP = `require('node:http')
  .createServer((request, response) => response.end(JSON.stringify(request.headers)))
  .listen(process.env.PORT, '127.0.0.1', () => console.log('the application is up'))`

export function policy(mode: string): string {
  return `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: ${mode}}}
`
}

export interface Answer {
  readonly status: number
  readonly body: string
}

/** `undefined`: there was none. */
export function call(port: number, host: string, path = '/'): Promise<Answer | undefined> {
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port, path, headers: { host }, agent: false }
    const request = get(options, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (text: string) => {
        body += text
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      response.on('error', () => resolve(undefined))
    })
    request.on('error', () => resolve(undefined))
  })
}

/** A host of one workload on this machine, whose callers expect `serviceAccount`. */
export function strictEntry(
  name: string,
  protocol: 'GRPC' | 'HTTP',
  port: number,
  serviceAccount: string,
): string {
  const portName = protocol.toLowerCase()
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: default}
spec:
  hosts: [${name}.example]
  ports: [{number: 80, name: ${portName}, protocol: ${protocol}}]
  location: MESH_INTERNAL
  resolution: STATIC
  endpoints:
    - address: 127.0.0.1
      ports: {${portName}: ${port}}
      serviceAccount: ${serviceAccount}
      labels: {security.istio.io/tlsMode: istio}
`
}

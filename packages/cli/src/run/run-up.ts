/** A mesh for development in one process: control plane and gateway, until a signal. */
import { mkdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { contentHash, type LogScopes } from '@weft/base'
import type { ControlPlane, ObjectStatus } from '@weft/control'
import { renderAddress, type SocketAddress } from '@weft/model'
import { firstSignal, howToCallWeft, type Terminal } from '../terminal/terminal.ts'
import { DEFAULT_ADMIN, DEFAULT_XDS, freePort, LOOPBACK } from './addresses.ts'
import { bootstrapFile, bootstrapFolder } from './bootstrap.ts'
import { openControlPlane } from './run-control.ts'
import { openProxy } from './run-proxy.ts'

export interface UpOptions {
  /** As the user wrote it. */
  readonly folder: string
  readonly path: string
  readonly xds: SocketAddress
  readonly admin: SocketAddress
  readonly httpPort: number | undefined
  readonly accessLog?: string
}

const PREFERRED_HTTP_PORT = 8080
const LOOK_EVERY_MS = 500

export async function runUp(
  options: UpOptions,
  shown: { readonly isJson: boolean },
  terminal: Terminal,
  logs: LogScopes,
): Promise<number> {
  const stopped = firstSignal(terminal, () => process.exit(130))
  await mkdir(options.path, { recursive: true })
  const stateBase = terminal.env.XDG_STATE_HOME ?? join(homedir(), '.local', 'state')
  const stateDir = join(stateBase, 'weft', `up-${contentHash(options.path)}`)
  const plane = await openControlPlane(
    {
      sources: [options.path],
      xds: options.xds,
      admin: options.admin,
      stateDir,
      ca: { folder: join(stateDir, 'ca'), bootstrapFolder: bootstrapFolder(terminal) },
    },
    terminal,
    logs,
  )
  const httpPort =
    options.httpPort || (await freePort(LOOPBACK, options.httpPort ?? PREFERRED_HTTP_PORT))
  const { accessLog } = options
  const gateway = await openProxy(
    {
      role: 'gateway',
      workload: {
        name: 'istio-ingressgateway',
        namespace: 'istio-system',
        serviceAccount: 'default',
        labels: { app: 'istio-ingressgateway', istio: 'ingressgateway' },
        locality: { region: '', zone: '', subZone: '' },
        cluster: 'weft',
      },
      address: LOOPBACK,
      source: { kind: 'ads', connect: plane.xds },
      identity: {
        connect: plane.xds,
        proof: { kind: 'tokenFile', path: bootstrapFile(terminal, plane.xds) },
      },
      portMap: { '80': httpPort, '8080': httpPort },
      bindHost: LOOPBACK,
      admin: { host: LOOPBACK, port: 0 },
      ...(accessLog === undefined ? {} : { accessLog }),
    },
    terminal,
    logs,
  )
  const admin = `http://${renderAddress(plane.admin)}`
  const facts = {
    gateway: `http://${LOOPBACK}:${httpPort}`,
    xds: renderAddress(plane.xds),
    admin,
    console: `${admin}${plane.consoleLink()}`,
    gatewayAdmin: gateway.admin === undefined ? '' : `http://${renderAddress(gateway.admin)}`,
    folder: options.folder,
  }
  terminal.out(
    shown.isJson ? `${JSON.stringify({ ready: true, ...facts })}\n` : renderUp(facts, terminal),
  )
  const stopTelling = tellProblems(plane, shown.isJson, terminal)
  await stopped
  stopTelling()
  await gateway.close()
  await plane.close()
  return 0
}

interface UpFacts {
  readonly gateway: string
  readonly xds: string
  readonly admin: string
  /** Signs a browser in, once. */
  readonly console: string
  readonly gatewayAdmin: string
  readonly folder: string
}

function renderUp(facts: UpFacts, { style, env }: Terminal): string {
  const weft = howToCallWeft(env)
  const xdsFlag = facts.xds === DEFAULT_XDS ? '' : ` --control ${facts.xds}`
  const adminFlag = facts.admin === `http://${DEFAULT_ADMIN}` ? '' : ` --control ${facts.admin}`
  return `${style.bold('The mesh is up.')}
  gateway  ${style.cyan(facts.gateway)}   (ports 80 and 8080 of Gateways; admin ${facts.gatewayAdmin})
  control  ${facts.admin}   (xDS ${facts.xds})
  console  ${style.cyan(facts.console)}
           (good once and for ten minutes; ${weft} dashboard${adminFlag} prints another)
  folder   ${facts.folder}   (watched)

What to do next:
  ${weft} run${xdsFlag} --service hello --port 8000 --app-port 0 -- node server.js   (it listens on $PORT)
  ${weft} run${xdsFlag} -- curl http://hello:8000/
  ${weft} apply${adminFlag} -f rules.yaml
  ${weft} status${adminFlag}
  ${weft} get routes${adminFlag} --from hello
`
}

/** Says what is refused, and when it is good again, as it happens. */
function tellProblems(plane: ControlPlane, isJson: boolean, terminal: Terminal): () => void {
  const { red, green } = terminal.style
  const tell = (object: string, problem: string | null) =>
    terminal.err(
      isJson
        ? `${JSON.stringify({ object, problem })}\n`
        : `${problem === null ? green(object) : red(object)}: ${problem ?? 'good again'}\n`,
    )
  let known = new Map<string, string>()
  let cancel = () => {}
  const look = () => {
    const now = new Map(plane.statuses().flatMap(refusalOf))
    for (const [object, why] of now) {
      if (known.get(object) !== why) tell(object, why)
    }
    for (const object of known.keys()) {
      if (!now.has(object)) tell(object, null)
    }
    known = now
    cancel = terminal.clock.after(LOOK_EVERY_MS, look)
  }
  look()
  return () => cancel()
}

function refusalOf(status: ObjectStatus): [string, string][] {
  const errors = status.problems.filter(({ severity }) => severity === 'error')
  if (errors.length === 0) return []
  const why = errors.map(({ file, line, message }) => `${file}:${line}: ${message}`).join('\n  ')
  return [[`${status.kind} ${status.namespace}/${status.name}`, why]]
}

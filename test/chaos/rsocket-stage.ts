/** `weft broker` processes that are one over a real etcd, on networks that can be cut, and agents of HTTP applications. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  certificateOf,
  createAuthority,
  TRUST_DOMAIN,
} from '../../packages/broker/src/cluster/cluster-fixture.ts'
import { eventually, freePort, type Running, startWeft, temporaryFolder } from '../e2e/weft.ts'
import { type Etcd, startEtcd } from '../interop/etcd.ts'
import { openRelay, type Relay } from './relay.ts'

const APP = fileURLToPath(new URL('app.ts', import.meta.url))
const START_MS = 20_000

export interface BrokerProcess {
  readonly id: string
  readonly running: Running
  readonly port: number
  readonly uri: string
  readonly admin: number
  /** The way on which other brokers reach it, and its own to etcd. */
  readonly hop: Relay
  readonly etcd: Relay
}

export interface BrokerStage extends AsyncDisposable {
  readonly etcd: Etcd
  /** Those that were started and not killed by the test, in order. */
  readonly brokers: readonly BrokerProcess[]
  /** @param port Where it listens, when that is known to somebody already. */
  startBroker(id: string, port?: number): Promise<BrokerProcess>
  /** All that live are linked with each other, and with etcd. */
  linked(): Promise<void>
  /** Like `killall -9`, of one. */
  kill(broker: BrokerProcess): Promise<void>
  /** SIGTERM; resolves when it has drained and is gone. */
  drain(broker: BrokerProcess): Promise<number | null>
  /** An HTTP application behind `weft agent`, with links to all brokers. */
  startApp(service: string): Promise<HttpApp>
  /** `weft agent` for a caller: where its HTTP proxy listens. */
  startCaller(): Promise<number>
}

interface HttpApp {
  readonly agent: Running
  /** Ids of POSTs that it took, in order. */
  posts(): readonly string[]
}

/** Without a cluster: one broker, by itself. */
export async function openBroker(
  more: readonly string[] = [],
): Promise<
  AsyncDisposable & { readonly running: Running; readonly port: number; readonly admin: number }
> {
  const running = startWeft([
    ...['broker', '--standalone', '--allow-anonymous', '--listen', '127.0.0.1:0', ...more],
    ...['--listen-ws', 'off', '--admin', '127.0.0.1:0', '--json'],
  ])
  const { tcp, admin } = await portsOf(running)
  return { running, port: tcp, admin, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() }
}

export interface BrokersOptions {
  /** Applications stay where they dialled: they are told of nothing that they could move to. */
  readonly pinsLinks?: boolean
}

export async function openBrokers(
  ids: readonly string[],
  { pinsLinks = false }: BrokersOptions = {},
): Promise<BrokerStage> {
  const stack = new AsyncDisposableStack()
  const folder = stack.use(await temporaryFolder()).path
  const etcd = stack.use(await startEtcd())
  const ca = createAuthority()
  const { chainPem, keyPem } = certificateOf(ca)
  const files = {
    chain: join(folder, 'chain.pem'),
    key: join(folder, 'key.pem'),
    ca: join(folder, 'ca.pem'),
  }
  writeFileSync(files.chain, chainPem)
  writeFileSync(files.key, keyPem)
  writeFileSync(files.ca, ca.rootPem)
  let brokers: readonly BrokerProcess[] = []
  const ending = new Set<BrokerProcess>()
  let apps = 0

  const startBroker = async (id: string, wanted = 0): Promise<BrokerProcess> => {
    const hopPort = await freePort()
    const hop = stack.use(await openRelay(hopPort))
    const toEtcd = stack.use(await openRelay(Number(new URL(etcd.url).port)))
    const running = stack.use(
      startWeft([
        ...['broker', '--id', id, '--standalone', '--allow-anonymous', '--json'],
        ...['--listen', `127.0.0.1:${wanted}`, '--listen-ws', 'off', '--admin', '127.0.0.1:0'],
        ...['--trust-domain', TRUST_DOMAIN, '--client-ca', files.ca],
        ...['--tls-cert', files.chain, '--tls-key', files.key, '--drain', '8s'],
        ...(pinsLinks ? ['--advertise', `ws://${id}.example:7879`] : []),
        ...['--etcd', `127.0.0.1:${toEtcd.port}`],
        ...[
          '--cluster-listen',
          `127.0.0.1:${hopPort}`,
          '--cluster-address',
          `127.0.0.1:${hop.port}`,
        ],
      ]),
    )
    const { tcp: port, admin } = await portsOf(running)
    const broker = { id, running, port, admin, uri: `tcp://127.0.0.1:${port}`, hop, etcd: toEtcd }
    brokers = [...brokers, broker]
    void running.finished.then(({ exitCode, signal, errors }) => {
      if (brokers.includes(broker) && !ending.has(broker) && !stack.disposed) {
        console.error(`${id} ended by itself (${exitCode ?? signal}):\n${errors}`)
      }
    })
    return broker
  }
  const gone = async (broker: BrokerProcess, signal: NodeJS.Signals) => {
    ending.add(broker)
    broker.running.process.kill(signal)
    const { exitCode } = await broker.running.finished
    brokers = brokers.filter((each) => each !== broker)
    return exitCode
  }
  const targets = () => brokers.flatMap(({ port }) => ['--broker', `127.0.0.1:${port}`])
  const stage: BrokerStage = {
    etcd,
    get brokers() {
      return brokers
    },
    startBroker,
    async linked() {
      for (const { admin } of brokers) {
        await eventually(
          () => clusterOf(admin),
          ({ state, brokers: others }) =>
            state === 'connected' &&
            others.filter(({ link }) => link === 'up').length >= brokers.length - 1,
          START_MS,
        )
      }
    },
    kill: async (broker) => void (await gone(broker, 'SIGKILL')),
    drain: (broker) => gone(broker, 'SIGTERM'),
    async startApp(service) {
      const journal = join(folder, `posts-${++apps}`)
      writeFileSync(journal, '')
      const port = String(await freePort())
      const agent = stack.use(
        startWeft([
          ...['agent', ...targets(), '--service', service, '--app-port', port, '--no-outbound'],
          ...['--', process.execPath, APP, port, journal],
        ]),
      )
      return { agent, posts: () => readFileSync(journal, 'utf8').split('\n').filter(Boolean) }
    },
    async startCaller() {
      const port = await freePort()
      const at = `127.0.0.1:${port}`
      const agent = stack.use(
        startWeft(['agent', ...targets(), '--name', 'caller', '--outbound', at, '--json']),
      )
      await agent.saw('"ready":true')
      return port
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
  try {
    for (const id of ids) await startBroker(id)
    await stage.linked()
    return stage
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

interface ClusterInfo {
  readonly state: string
  readonly brokers: readonly {
    readonly id: string
    readonly link: string
    readonly state: string
  }[]
}

/** Applications that have a link to a broker. */
export async function linksAt({ admin }: BrokerProcess): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${admin}/links`, {
    headers: { connection: 'close' },
  })
  const { links } = (await answer.json()) as { readonly links: readonly unknown[] }
  return links.length
}

/** What a broker says of its cluster. */
export async function clusterOf(admin: number): Promise<ClusterInfo> {
  const answer = await fetch(`http://127.0.0.1:${admin}/server_info`, {
    headers: { connection: 'close' },
  })
  return ((await answer.json()) as { readonly cluster: ClusterInfo }).cluster
}

/** From its ready line. */
async function portsOf(
  running: Running,
): Promise<{ readonly tcp: number; readonly admin: number }> {
  await running.saw('"ready":true')
  const line = running
    .output()
    .split('\n')
    .find((each) => each.includes('"ready":true'))
  const up: { readonly tcp: string; readonly admin: string } = JSON.parse(line ?? '{}')
  const portOf = (text: string) => Number(text.split(':').at(-1))
  return { tcp: portOf(up.tcp), admin: portOf(up.admin) }
}

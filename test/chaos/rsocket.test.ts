/**
 * Brokers as programs, over a real etcd: without it for a while, and cut off from each other. What
 * becomes of brokers that are restarted or killed is in `rsocket-brokers.test.ts`.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import { HttpAgent } from '@weft/broker'
import { connect, type RSocketClient } from '@weft/rsocket'
import {
  certificateOf,
  createAuthority,
  TRUST_DOMAIN,
} from '../../packages/broker/src/cluster/cluster-fixture.ts'
import { eventually, type Running, startWeft, temporaryFolder } from '../e2e/weft.ts'
import { type Etcd, noEtcd, startEtcd } from '../interop/etcd.ts'
import { askCart } from '../interop/rsocket-mesh-fixture.ts'
import { report } from './stage.ts'

const LIMIT_MS = 30_000

interface Programs extends AsyncDisposable {
  readonly etcd: Etcd
  readonly folder: string
  start(id: string, more?: readonly string[], shell?: string): Promise<Program>
}

interface Program {
  readonly id: string
  readonly running: Running
  /** Where applications dial. */
  readonly uri: string
  readonly admin: string
  /** Links to other brokers that are up. */
  linksUp(): Promise<number>
}

async function openPrograms(etcdHost?: string): Promise<Programs> {
  const stack = new AsyncDisposableStack()
  const etcd = stack.use(await startEtcd(undefined, etcdHost))
  const folder = stack.use(await temporaryFolder()).path
  const ca = createAuthority()
  const { chainPem, keyPem } = certificateOf(ca)
  const files = {
    cert: join(folder, 'c.pem'),
    key: join(folder, 'k.pem'),
    ca: join(folder, 'r.pem'),
  }
  writeFileSync(files.cert, chainPem)
  writeFileSync(files.key, keyPem)
  writeFileSync(files.ca, ca.rootPem)
  return {
    ...{ etcd, folder },
    async start(id, more = [], shell) {
      const running = stack.use(
        startWeft(
          [
            ...['broker', '--id', id, '--standalone', '--allow-anonymous', '--json'],
            ...['--listen', '127.0.0.1:0', '--listen-ws', 'off', '--admin', '127.0.0.1:0'],
            ...['--tls-cert', files.cert, '--tls-key', files.key, '--client-ca', files.ca],
            ...['--trust-domain', TRUST_DOMAIN, '--etcd', etcd.url, '--drain', '8s', ...more],
          ],
          shell === undefined ? {} : { node: shell },
        ),
      )
      await running.saw('"ready":true')
      const line = running
        .output()
        .split('\n')
        .find((each) => each.includes('"ready":true'))
      const { tcp, admin } = JSON.parse(line ?? '{}') as { tcp: string; admin: string }
      return {
        ...{ id, running, admin, uri: `tcp://${tcp}` },
        async linksUp() {
          const answer = await fetch(`${admin}/links`)
          const { brokers } = (await answer.json()) as { brokers: { link: string }[] }
          return brokers.filter(({ link }) => link === 'up').length
        },
      }
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

const linked = (program: Program, count = 1) =>
  eventually(
    () => program.linksUp(),
    (up) => up >= count,
    LIMIT_MS,
  )

interface Load {
  readonly done: number
  readonly failures: readonly string[]
  stop(): Promise<void>
}

/** 16 callers one after the other, through links to all of `brokers`; 5 % of the calls take 80 ms. */
async function startLoad(brokers: readonly string[]): Promise<Load> {
  const server = await connect({
    ...{ brokers, app: 'server' },
    services: {
      's.Counted': {
        async run(request) {
          if (Math.random() < 0.05) await new Promise((resolve) => setTimeout(resolve, 80))
          return request.text()
        },
      },
    },
  })
  const client = await connect({ brokers, app: 'client' })
  await eventually(
    () => isUp(server, brokers.length) && isUp(client, brokers.length),
    (both) => both,
    LIMIT_MS,
  )
  const failures: string[] = []
  const counts = { done: 0, isOver: false }
  const worker = async (name: number) => {
    for (let i = 0; !counts.isOver; i++) {
      try {
        await client.requestResponse('s.Counted', 'run', `${name}-${i}`)
        counts.done++
      } catch (error) {
        failures.push(String(error))
      }
    }
  }
  const workers = Array.from({ length: 16 }, (_, name) => worker(name))
  return {
    get done() {
      return counts.done
    },
    failures,
    async stop() {
      counts.isOver = true
      await Promise.all(workers)
      await client.close()
      await server.close()
    },
  }
}

function isUp(client: RSocketClient, count: number): boolean {
  return client.status().links.filter((link) => link.isUp).length >= count
}

const passed = (load: Load, more: number) => {
  const from = load.done
  return eventually(
    () => load.done,
    (done) => done >= from + more,
    LIMIT_MS,
  )
}

test('F31 etcd is stopped under load and comes back: no request fails', {
  skip: noEtcd,
}, async () => {
  await using programs = await openPrograms()
  const all = [await programs.start('b1'), await programs.start('b2')]
  for (const each of all) await linked(each)
  const load = await startLoad(all.map(({ uri }) => uri))
  await passed(load, 200)
  await programs.etcd.kill()
  const ready = async () => (await fetch(`${all[0]?.admin}/ready`)).text()
  await eventually(ready, (text) => text.includes('etcd is away'), LIMIT_MS)
  await passed(load, 500)
  await programs.etcd.start()
  await eventually(ready, (text) => text === 'LIVE\n', LIMIT_MS)
  await passed(load, 200)
  await load.stop()
  report('F31', `${load.done} requests, ${load.failures.length} failed`)
  assert.deepEqual(load.failures, [])
})

const NETWORK = 'weft-chaos'
const [HERE, THERE] = ['10.213.77.1', '10.213.77.2']
const ip = (...args: readonly string[]) => spawnSync('ip', args).status === 0

/** A network of its own, and a cable to it. */
function openNetwork(): (Disposable & { cut(): void; mend(): void }) | undefined {
  const close = () => void ip('netns', 'del', NETWORK)
  const isOpen =
    ip('netns', 'add', NETWORK) &&
    ip('link', 'add', 'weftc0', 'type', 'veth', 'peer', 'name', 'weftc1', 'netns', NETWORK) &&
    ip('addr', 'add', `${HERE}/24`, 'dev', 'weftc0') &&
    ip('link', 'set', 'weftc0', 'up') &&
    ip('-n', NETWORK, 'addr', 'add', `${THERE}/24`, 'dev', 'weftc1') &&
    ip('-n', NETWORK, 'link', 'set', 'weftc1', 'up') &&
    ip('-n', NETWORK, 'link', 'set', 'lo', 'up')
  if (!isOpen) {
    close()
    return undefined
  }
  return {
    cut: () => void ip('-n', NETWORK, 'link', 'set', 'weftc1', 'down'),
    mend: () => void ip('-n', NETWORK, 'link', 'set', 'weftc1', 'up'),
    [Symbol.dispose]: close,
  }
}

test('F31 brokers are cut off from each other and find together again', {
  skip: noEtcd,
}, async (t) => {
  using network = openNetwork()
  if (network === undefined) return t.skip('no right to networks of its own here')
  await using programs = await openPrograms(HERE)
  const shell = join(programs.folder, 'inside')
  const program = `#!/bin/sh\nexec ip netns exec ${NETWORK} '${process.execPath}' "$@"\n`
  writeFileSync(shell, program, { mode: 0o755 })
  const near = await programs.start('near', ['--cluster-listen', `${HERE}:0`])
  const far = await programs.start('far', ['--cluster-listen', `${THERE}:0`], shell)
  await linked(near)
  const app = join(programs.folder, 'app.mjs')
  writeFileSync(
    app,
    "import { createServer } from 'node:http'\ncreateServer((_, a) => a.end('far')).listen(+process.env.PORT, '127.0.0.1')\n",
  )
  await using agent = startWeft(
    [
      ...['agent', '--broker', far.uri.slice('tcp://'.length), '--service', 'cart:9080'],
      ...['--app-port', '0', '--no-outbound', '--', process.execPath, app],
    ],
    { node: shell },
  )
  const [host = '', port = ''] = near.uri.slice('tcp://'.length).split(':')
  const caller = new HttpAgent(
    {
      brokers: [{ kind: 'tcp', address: { host, port: Number(port) } }],
      ...{ links: 1, instance: 'caller', app: 'caller', namespace: 'default', zone: '' },
      ...{ labels: {}, services: [], outbound: { host: '127.0.0.1', port: 0 } },
    },
    { clock: realClock, log: silentLogger, random: Math.random },
  )
  await using stack = new AsyncDisposableStack()
  stack.defer(() => caller.close())
  await caller.open()
  const ask = async () => {
    const { status, body } = await askCart(caller.outbound?.port ?? 0, { path: '/' })
    return `${status} ${body}`
  }
  await eventually(ask, (answer) => answer === '200 far', LIMIT_MS)
  network.cut()
  await eventually(
    () => near.linksUp(),
    (up) => up === 0,
    LIMIT_MS,
  )
  const refused = await ask()
  assert.match(refused, /^503 WEFT-503 the broker at which cart is connected is not reached/)
  network.mend()
  await linked(near)
  const after = await eventually(ask, (answer) => answer === '200 far', LIMIT_MS)
  report('F31', `cut: ${refused.trim()}; mended: ${after}`)
  assert.equal(agent.process.exitCode, null)
})

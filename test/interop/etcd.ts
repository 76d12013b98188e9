/** A real etcd in a process of its own, which can be killed and comes back with what it knew. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realClock } from '@weft/base'
import { eventually, freePort } from '@weft/testkit'
import {
  EtcdMembers,
  type EtcdOptions,
} from '../../packages/broker/src/cluster/etcd/etcd-members.ts'

/** Why there is no etcd, or false. */
export const noEtcd: string | false = (() => {
  try {
    execFileSync('etcd', ['--version'], { stdio: 'ignore' })
    return false
  } catch {
    return 'no etcd on this machine (apt install etcd-server)'
  }
})()

export interface Etcd extends AsyncDisposable {
  readonly url: string
  /** In this folder files may be put. */
  readonly folder: string
  members(more?: Partial<EtcdOptions>): EtcdMembers
  /** At once, as a power cut would. */
  kill(): Promise<void>
  /** It hangs, and goes on: connections stay open all the while. */
  pause(): void
  resume(): void
  start(): Promise<void>
  /** Asks by the JSON gateway. */
  ask(path: string, body: object, token?: string): Promise<Readonly<Record<string, unknown>>>
}

export interface EtcdTls {
  readonly caPem: string
  readonly certPem: string
  readonly keyPem: string
}

/** @param host Where clients reach it. */
export async function startEtcd(tls?: EtcdTls, host = '127.0.0.1'): Promise<Etcd> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-etcd-'))
  const [port, peerPort] = [await freePort(), await freePort()]
  const url = `${tls === undefined ? 'http' : 'https'}://${host}:${port}`
  const files = {
    ca: join(folder, 'ca.pem'),
    cert: join(folder, 'cert.pem'),
    key: join(folder, 'key.pem'),
  }
  if (tls !== undefined) {
    await writeFile(files.ca, tls.caPem)
    await writeFile(files.cert, tls.certPem)
    await writeFile(files.key, tls.keyPem)
  }
  let child: ChildProcess | undefined
  const killed = () => void child?.kill('SIGKILL')
  process.once('exit', killed)
  const members = (more: Partial<EtcdOptions> = {}) =>
    new EtcdMembers(
      {
        urls: [url],
        ...(tls === undefined
          ? {}
          : { caFile: files.ca, certFile: files.cert, keyFile: files.key }),
        ...more,
      },
      realClock,
    )
  const etcd: Etcd = {
    ...{ url, folder, members },
    async start() {
      child = spawn('etcd', [
        ...['--data-dir', join(folder, 'data'), '--log-level', 'error'],
        ...['--listen-client-urls', url, '--advertise-client-urls', url],
        ...['--listen-peer-urls', `http://127.0.0.1:${peerPort}`],
        ...(tls === undefined
          ? []
          : [
              ...['--cert-file', files.cert, '--key-file', files.key],
              ...['--client-cert-auth', '--trusted-ca-file', files.ca],
            ]),
      ])
      await eventually(async () => {
        const session = await members().open(() => undefined)
        await session.range('/nothing/')
        session.end('it answers')
      })
    },
    async kill() {
      const gone = child && new Promise((resolve) => child?.once('close', resolve))
      child?.kill('SIGKILL')
      await gone
      child = undefined
    },
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
    async ask(path, body, token) {
      const headers = token === undefined ? {} : { authorization: token }
      const answer = await fetch(`${url}/v3${path}`, {
        ...{ method: 'POST', headers, body: JSON.stringify(body) },
      })
      const text = await answer.text()
      if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`)
      return JSON.parse(text)
    },
    async [Symbol.asyncDispose]() {
      await etcd.kill()
      process.off('exit', killed)
      await rm(folder, { recursive: true, force: true })
    },
  }
  await etcd.start()
  return etcd
}

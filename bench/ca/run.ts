/**
 * How many certificates a second does the CA give, and does a restart lose a request?
 *
 * Each request is a call of Istio's CSR service with a key of its own and a Kubernetes service
 * account's token: the token's signature and the proof of the key are verified, a certificate is
 * signed. The second run kills the control plane (SIGKILL) half-way and starts it again on the same
 * port and folder; who got no answer asks again with the same key, as proxies do. Decision: a mesh
 * of 10,000 proxies that all come at once has its certificates within a minute.
 *
 *     npm run bench -- ca [--requests 10000] [--concurrency 64] [--json]
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { generateKeyPairSync, sign } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { ClientHttp2Session } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { freePort } from '@weft/testkit'
import {
  askFor,
  csrOf,
  derOf,
  newKey,
  openSession,
} from '../../packages/control/src/ca/test-ca-client.ts'

const USAGE = `npm run bench -- ca [options]

  --requests N      certificates per run (default 10000)
  --concurrency N   requests under way at a time (default 64)
  --json            one JSON object instead of the table
`
const BIN = fileURLToPath(new URL('../../packages/cli/bin/weft.js', import.meta.url))
const HOST = '127.0.0.1'
const ISSUER = 'https://kubernetes.default.svc'
const SESSIONS = 8
const IDENTITIES = 200
const RETRY_MS = 50
const START_MS = 60_000

interface Row {
  readonly run: 'steady' | 'restarted'
  readonly requests: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** CPU of the control plane per certificate; not known where it was killed. */
  readonly cpuMicros: number | undefined
  readonly askedAgain: number
  readonly lost: number
}

export async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      requests: { type: 'string', default: '10000' },
      concurrency: { type: 'string', default: '64' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(USAGE)
    return 0
  }
  const requests = Number(values.requests)
  const concurrency = Number(values.concurrency)
  if (![requests, concurrency].every((n) => Number.isInteger(n) && n > 0)) {
    console.error(`Cannot run: counts must be whole numbers above 0\n\n${USAGE}`)
    return 2
  }
  const folder = mkdtempSync(join(tmpdir(), 'weft-bench-ca-'))
  try {
    const tokens = prepareTokens(folder)
    const rows: Row[] = []
    for (const kind of ['steady', 'restarted'] as const) {
      const csrs = Array.from({ length: requests }, () => csrOf(newKey()))
      rows.push(await measure(kind, folder, { tokens, csrs, concurrency }))
    }
    console.log(values.json ? JSON.stringify({ scenario: 'ca', rows }) : render(rows))
    return rows.every(({ lost }) => lost === 0) ? 0 : 1
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** One token per identity, as every replica of a workload has its own of the same account. */
function prepareTokens(folder: string): readonly string[] {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwks = join(folder, 'jwks.json')
  writeFileSync(jwks, JSON.stringify({ keys: [publicKey.export({ format: 'jwk' })] }))
  const issuer = { issuer: ISSUER, audiences: ['istio-ca'], jwksFile: jwks, accounts: 'kubernetes' }
  writeFileSync(join(folder, 'issuers.json'), JSON.stringify([issuer]))
  mkdirSync(join(folder, 'mesh'))
  const exp = Math.floor(Date.now() / 1_000) + 86_400
  const pack = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return Array.from({ length: IDENTITIES }, (_, i) => {
    const sub = `system:serviceaccount:bench:account-${i}`
    const text = `${pack({ alg: 'ES256' })}.${pack({ iss: ISSUER, aud: 'istio-ca', exp, sub })}`
    const signature = sign('sha256', Buffer.from(text), {
      key: privateKey,
      dsaEncoding: 'ieee-p1363',
    })
    return `${text}.${signature.toString('base64url')}`
  })
}

interface Work {
  readonly tokens: readonly string[]
  readonly csrs: readonly string[]
  readonly concurrency: number
}

async function measure(kind: Row['run'], folder: string, work: Work): Promise<Row> {
  const port = await freePort()
  const state = join(folder, kind)
  let control = await start(folder, state, port)
  const pool = new Sessions(port)
  const { csrs, tokens, concurrency } = work
  const latencies: number[] = []
  const leaves = new Set<string>()
  const roots = new Set<string>()
  let askedAgain = 0
  let next = 0
  let restarting: Promise<void> | undefined
  const ask = async (index: number) => {
    const fromMs = performance.now()
    for (;;) {
      try {
        const token = tokens[index % tokens.length] ?? ''
        const { status, text, chain } = await askFor(pool.pick(index), {
          token,
          csrPem: csrs[index] ?? '',
        })
        if (status !== 0) throw new Error(`Cannot bench: the answer was ${status} ${text}`)
        latencies.push(performance.now() - fromMs)
        const ders = derOf(chain)
        leaves.add(ders[0]?.toString('base64') ?? '')
        roots.add(ders.at(-1)?.toString('base64') ?? '')
        return
      } catch (error) {
        if (restarting === undefined) throw error
        askedAgain++
        await wait(RETRY_MS)
      }
    }
  }
  const worker = async () => {
    while (next < csrs.length) {
      const index = next++
      if (kind === 'restarted' && index === Math.floor(csrs.length / 2)) {
        restarting = restart()
      }
      await ask(index)
    }
  }
  const restart = async () => {
    control.kill('SIGKILL')
    await once(control, 'exit')
    control = await start(folder, state, port)
  }
  const fromMs = performance.now()
  const cpuBefore = cpuMicrosOf(control)
  await Promise.all(Array.from({ length: concurrency }, worker))
  const tookMs = performance.now() - fromMs
  const cpu = (cpuMicrosOf(control) - cpuBefore) / csrs.length
  await restarting
  pool.close()
  control.kill('SIGTERM')
  await once(control, 'exit')
  latencies.sort((a, b) => a - b)
  // A second root would mean that the state was lost: half of the mesh would not know the other.
  const lost = roots.size === 1 ? csrs.length - leaves.size : csrs.length
  return {
    run: kind,
    requests: csrs.length,
    perSecond: csrs.length / (tookMs / 1_000),
    p50Ms: latencies[Math.floor(latencies.length * 0.5)] ?? 0,
    p99Ms: latencies[Math.floor(latencies.length * 0.99)] ?? 0,
    cpuMicros: kind === 'steady' ? cpu : undefined,
    askedAgain,
    lost,
  }
}

/** Connections that come back. */
class Sessions {
  readonly #port: number
  readonly #sessions: (ClientHttp2Session | undefined)[] = new Array(SESSIONS)

  constructor(port: number) {
    this.#port = port
  }

  pick(index: number): ClientHttp2Session {
    const at = index % SESSIONS
    const known = this.#sessions[at]
    if (known !== undefined && !known.closed && !known.destroyed) return known
    const session = openSession({ host: HOST, port: this.#port })
    this.#sessions[at] = session
    return session
  }

  close(): void {
    for (const session of this.#sessions) session?.destroy()
  }
}

async function start(folder: string, state: string, port: number): Promise<ChildProcess> {
  const args = [
    '--conditions=source',
    BIN,
    'control',
    join(folder, 'mesh'),
    ...['--xds', `${HOST}:${port}`],
    ...['--admin', `${HOST}:0`],
    ...['--state', state],
    ...['--token-issuers', join(folder, 'issuers.json')],
    '--json',
  ]
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, XDG_STATE_HOME: folder },
  })
  await once(child.stdout, 'data', { signal: AbortSignal.timeout(START_MS) })
  child.stdout.resume()
  return child
}

/** User and system time so far; Linux. */
function cpuMicrosOf({ pid }: ChildProcess): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    const ticks = Number(fields[11]) + Number(fields[12])
    return ticks * 10_000
  } catch {
    return Number.NaN
  }
}

function render(rows: readonly Row[]): string {
  const lines = rows.map(({ run: kind, requests, perSecond, p50Ms, p99Ms, cpuMicros, ...rest }) =>
    [
      kind.padEnd(10),
      String(requests).padStart(9),
      perSecond.toFixed(0).padStart(9),
      p50Ms.toFixed(1).padStart(9),
      p99Ms.toFixed(1).padStart(9),
      (cpuMicros === undefined ? '-' : cpuMicros.toFixed(0)).padStart(9),
      String(rest.askedAgain).padStart(12),
      String(rest.lost).padStart(6),
    ].join(' '),
  )
  const head = 'run         requests  certs/s    p50 ms    p99 ms    CPU µs  asked again   lost'
  return `${head}\n${lines.join('\n')}`
}

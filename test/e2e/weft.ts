/** Runs `weft` as a stranger does: the real command in a real process. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const WEFT = fileURLToPath(new URL('../../packages/cli/bin/weft.js', import.meta.url))

/** Tests leave the state of the machine's own meshes alone. */
const STATE = join(tmpdir(), 'weft-e2e-state')

export interface Finished {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
  readonly output: string
  readonly errors: string
}

export interface Running extends AsyncDisposable {
  readonly process: ChildProcess
  readonly finished: Promise<Finished>
  output(): string
  errors(): string
  /** Resolves when the output has the text; rejects with all of it when the process ends before. */
  saw(text: string | RegExp): Promise<void>
}

export interface StartOptions {
  readonly node?: string
  readonly cwd?: string
  readonly input?: string
  readonly env?: Readonly<Record<string, string>>
}

export function startWeft(args: readonly string[], options: StartOptions = {}): Running {
  const child = spawn(options.node ?? process.execPath, [WEFT, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1', XDG_STATE_HOME: STATE, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  })
  let output = ''
  let errors = ''
  const look = new Set<() => void>()
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    for (const one of look) one()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
    for (const one of look) one()
  })
  child.stdin.end(options.input ?? '')
  const finished = new Promise<Finished>((resolve) => {
    child.once('close', (exitCode, signal) => resolve({ exitCode, signal, output, errors }))
  })
  return {
    process: child,
    finished,
    output: () => output,
    errors: () => errors,
    saw(text) {
      return new Promise((resolve, reject) => {
        const has = () =>
          typeof text === 'string' ? output.includes(text) : text.test(output) || text.test(errors)
        const check = () => {
          if (!has()) return
          look.delete(check)
          resolve()
        }
        look.add(check)
        check()
        void finished.then(() =>
          reject(new Error(`weft ${args.join(' ')} ended before ${text}:\n${output}\n${errors}`)),
        )
      })
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
      await finished
      clearTimeout(timer)
    },
  }
}

export function runWeft(args: readonly string[], options?: StartOptions): Promise<Finished> {
  return startWeft(args, options).finished
}

/** What lets this user call the admin API of a control plane that `startWeft` started. */
export async function ownerToken(adminPort: number): Promise<string> {
  const file = join(STATE, 'weft', 'bootstrap', `127.0.0.1-${adminPort}.admin-token`)
  return (await readFile(file, 'utf8')).trim()
}

/** What a control plane leaves for programs of its user, by its xDS address. */
export async function bootstrapSecret(xds: string): Promise<string> {
  const file = join(STATE, 'weft', 'bootstrap', `${xds.replace(':', '-')}.token`)
  return (await readFile(file, 'utf8')).trim()
}

/** The same for the admin port of a proxy. */
export async function proxyToken(adminPort: number): Promise<string> {
  const file = join(STATE, 'weft', 'bootstrap', `127.0.0.1-${adminPort}.proxy-token`)
  return (await readFile(file, 'utf8')).trim()
}

/** A folder of its own that is gone afterwards. */
export async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'weft-e2e-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/** A port that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** Asks until the answer is right; what it was last is in the error. */
export async function eventually<T>(
  ask: () => Promise<T> | T,
  isRight: (answer: T) => boolean,
  limitMs = 10_000,
): Promise<T> {
  const untilMs = performance.now() + limitMs
  for (;;) {
    const answer = await ask()
    if (isRight(answer)) return answer
    if (performance.now() > untilMs)
      throw new Error(`Not in ${limitMs} ms: ${JSON.stringify(answer)}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** An HTTP server in one line for `weft run -- node -e …`; says its name. */
export function serverCode(name: string): string {
  return `require('node:http').createServer((q, s) => s.end('${name} ' + q.url)).listen(process.env.PORT, '127.0.0.1')`
}

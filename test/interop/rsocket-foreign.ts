/**
 * Clients of other languages as programs: one process of each for the whole matrix, told what to do
 * line by line. Fields of a line are parted by spaces and percent-encoded.
 *
 *     > dial CONNECTION CARRIER PORT CA-FILE SETUP-METADATA-IN-BASE64 LEASE|- FRAGMENT|-
 *     < up CONNECTION
 *     > ask ID CONNECTION rr|stream|first|channel|fnf N KEY DATA
 *     < answer ID ITEM…
 *     < told CONNECTION DATA
 *     > close CONNECTION
 */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import {
  type DialOptions,
  type Program,
  type ProgramKind,
  setupMetadata,
} from './rsocket-program.ts'

/** Where `.ci/run` puts what programs of other languages need. */
const PACKAGES = fileURLToPath(new URL('../../.ci', import.meta.url))
const SOURCES = import.meta.dirname

interface Connection {
  readonly up: PromiseWithResolvers<void>
  readonly onFireAndForget: (data: string) => void
}

class ForeignProcess {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #name: string
  readonly #folder = mkdtempSync(join(tmpdir(), 'weft-foreign-'))
  readonly #connections = new Map<string, Connection>()
  readonly #waiting = new Map<string, (items: string[]) => void>()
  #lastId = 0

  constructor(name: string, command: string, args: readonly string[], env: NodeJS.ProcessEnv) {
    this.#name = name
    this.#child = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child.stderr.pipe(process.stderr)
    createInterface(this.#child.stdout).on('line', (line) => this.#take(line))
    this.#child.once('exit', (code) => this.#fail(`${name} ended with ${code}`))
    // A test that is over does not wait for it.
    this.#child.unref()
    for (const pipe of [this.#child.stdin, this.#child.stdout, this.#child.stderr]) {
      if ('unref' in pipe && typeof pipe.unref === 'function') pipe.unref()
    }
    process.once('exit', () => {
      this.#child.kill('SIGKILL')
      rmSync(this.#folder, { recursive: true, force: true })
    })
  }

  async dial(options: DialOptions): Promise<Program> {
    const id = String(++this.#lastId)
    const up = Promise.withResolvers<void>()
    this.#connections.set(id, { up, onFireAndForget: options.onFireAndForget ?? (() => {}) })
    const caFile = join(this.#folder, `${id}.pem`)
    writeFileSync(caFile, options.caPem)
    const setup = setupMetadata(options).toString('base64')
    const { carrier, port, leaseRequests: lease = '-', fragmentBytes = '-' } = options
    const choices = [String(lease), String(fragmentBytes)]
    this.#send('dial', id, carrier, String(port), caFile, setup, ...choices)
    await up.promise
    return {
      response: (key, data) => this.#ask(id, 'rr', key, data),
      stream: (key, data, initialN) => this.#ask(id, 'stream', key, data, initialN),
      first: (key, data) => this.#ask(id, 'first', key, data),
      channel: (key, data) => this.#ask(id, 'channel', key, data, 8),
      fireAndForget: (key, data) => void this.#ask(id, 'fnf', key, data),
      close: () => this.#send('close', id),
    }
  }

  #ask(connection: string, op: string, key: string, data: string, n = 0): Promise<string[]> {
    return new Promise((resolve) => {
      const id = String(++this.#lastId)
      this.#waiting.set(id, resolve)
      this.#send('ask', id, connection, op, String(n), key, data)
    })
  }

  #send(...fields: readonly string[]): void {
    this.#child.stdin.write(`${fields.map(encodeURIComponent).join(' ')}\n`)
  }

  #take(line: string): void {
    const [word, id = '', ...rest] = line.split(' ').map(decodeURIComponent)
    if (word === 'up') this.#connections.get(id)?.up.resolve()
    else if (word === 'told') this.#connections.get(id)?.onFireAndForget(rest[0] ?? '')
    else if (word === 'answer') this.#waiting.get(id)?.(rest)
    else this.#fail(`${this.#name} says '${line}'`)
  }

  #fail(why: string): void {
    for (const { up } of this.#connections.values()) up.reject(new Error(why))
    for (const answer of this.#waiting.values()) answer([`! ${why}`])
  }
}

function foreign(
  name: string,
  skip: string | false,
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): ProgramKind {
  let started: ForeignProcess | undefined
  return {
    ...{ name, skip, grantsLeases: true, sendsFragments: true },
    dial(options) {
      started ??= new ForeignProcess(name, command, args, env)
      return started.dial(options)
    },
  }
}

const pythonEnv = { ...process.env, PYTHONPATH: join(PACKAGES, 'python') }
const hasPython =
  spawnSync('python3', ['-c', 'import aiohttp, rsocket.rsocket_client'], { env: pythonEnv })
    .status === 0

export const python = foreign(
  'rsocket-py',
  hasPython ? false : 'Python has no rsocket and aiohttp',
  'python3',
  [join(SOURCES, 'rsocket-python.py')],
  pythonEnv,
)

const jars = globSync(join(PACKAGES, 'java/*.jar'))
const hasJava =
  jars.some((jar) => /rsocket-core-[\d.]+\.jar$/.test(jar)) &&
  spawnSync('javac', ['-version']).status === 0

/** Compiled as it starts: a JDK runs a source file. */
export const java = foreign(
  'rsocket-java',
  hasJava ? false : 'there is no JDK, or no rsocket-java',
  'java',
  [
    // It starts faster so, and what it does here is short.
    ...['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xmx256m'],
    ...['-cp', jars.join(delimiter), join(SOURCES, 'rsocket-java/program.java')],
  ],
)

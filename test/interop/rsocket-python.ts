/** rsocket-py as a program that dials a broker, in both roles, over TCP. */
import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { DialOptions, Program, ProgramKind } from './rsocket-programs.ts'
import { setupMetadata } from './rsocket-programs.ts'

const SCRIPT = join(import.meta.dirname, 'rsocket-python.py')
/** Where `.ci/run` puts what Python programs need. */
const PACKAGES = fileURLToPath(new URL('../../.ci/python', import.meta.url))
const env = { ...process.env, PYTHONPATH: PACKAGES }

/** Why rsocket-py cannot be asked, or false. */
export const noPython =
  spawnSync('python3', ['-c', 'import rsocket.rsocket_client'], { env }).status === 0
    ? false
    : 'Python has no rsocket'

interface Line {
  readonly up?: boolean
  readonly told?: string
  readonly id?: number
  readonly items?: string[]
}

export const python: ProgramKind = {
  name: 'rsocket-py',
  async dial(options: DialOptions): Promise<Program> {
    const setup = setupMetadata(options).toString('base64')
    const child = spawn('python3', [SCRIPT, String(options.port), setup], {
      env,
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const waiting = new Map<number, (items: string[]) => void>()
    let lastId = 0
    const up = Promise.withResolvers<void>()
    createInterface(child.stdout).on('line', (text) => {
      const line = JSON.parse(text) as Line
      if (line.up === true) up.resolve()
      if (line.told !== undefined) options.onFireAndForget?.(line.told)
      if (line.id !== undefined) waiting.get(line.id)?.(line.items ?? [])
    })
    child.once('exit', (code) => {
      up.reject(new Error(`rsocket-py ended with ${code}`))
      for (const answer of waiting.values()) answer([`!the program ended with ${code}`])
    })
    await up.promise
    const ask = (op: string, key: string, data: string, n = 0) =>
      new Promise<string[]>((resolve) => {
        const id = ++lastId
        waiting.set(id, resolve)
        child.stdin.write(`${JSON.stringify({ id, op, key, data, n })}\n`)
      })
    return {
      response: (key, data) => ask('response', key, data),
      stream: (key, data, initialN) => ask('stream', key, data, initialN),
      channel: (key, data) => ask('channel', key, data),
      fireAndForget: (key, data) => void ask('fnf', key, data),
      close: () => void child.kill('SIGKILL'),
    }
  },
}

/** Child processes of a bench: started, measured through /proc, and ended by their own pid. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, openSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'

/** CPU time in microseconds. */
export interface Cpu {
  readonly userUs: number
  readonly systemUs: number
}

const TICK_US = 1e6 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))

/** CPU used so far by a process, its threads and its living children (nginx' workers). */
export function cpuOf(pid: number): Cpu {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  let userUs = Number(fields[11]) * TICK_US
  let systemUs = Number(fields[12]) * TICK_US
  for (const child of childrenOf(pid)) {
    const cpu = cpuOf(child)
    userUs += cpu.userUs
    systemUs += cpu.systemUs
  }
  return { userUs, systemUs }
}

/** Private and resident memory in MB of a process and its children. */
export function memoryOf(pid: number): { readonly anonMb: number; readonly rssMb: number } {
  let anonMb = 0
  let rssMb = 0
  for (const each of [pid, ...childrenOf(pid)]) {
    const status = readFileSync(`/proc/${each}/status`, 'utf8')
    anonMb += Number(/RssAnon:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024
    rssMb += Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024
  }
  return { anonMb, rssMb }
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return text === '' ? [] : text.split(' ').map(Number)
}

/** The first of `names` found on PATH or in the usual system folders. */
export function findProgram(...names: readonly string[]): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']
  for (const name of names) {
    const folder = folders.find((each) => existsSync(`${each}/${name}`))
    if (folder !== undefined) return `${folder}/${name}`
  }
  return undefined
}

/** Starts a program whose output goes to `logPath`. */
export function start(command: string, args: readonly string[], logPath: string): ChildProcess {
  const log = openSync(logPath, 'a')
  return spawn(command, args, { stdio: ['ignore', log, log] })
}

/** Asks a process to end and waits until it has; insists after two seconds. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill('SIGTERM')
  const insist = setTimeout(() => child.kill('SIGKILL'), 2_000)
  await gone
  clearTimeout(insist)
}

/** Resolves once something accepts on the port; rejects when the process ends or 15 s pass. */
export async function listening(port: number, child: ChildProcess, name: string): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    if (child.exitCode !== null) throw new Error(`${name} ended with code ${child.exitCode}`)
    if (await accepts(port)) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`${name} does not listen on 127.0.0.1:${port} after 15 s`)
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

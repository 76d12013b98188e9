/** Load by wrk: as fast as so many keep-alive connections go. */
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { findProgram } from '../http1/processes.ts'

/** A machine that is busy with other things makes nobody's answer wrong, only late. */
const PATIENCE = '10s'

const run = promisify(execFile)

/** @throws {Error} When any answer was not 2xx or any socket failed. */
export async function wrk(
  url: string,
  seconds: number,
  options: { readonly connections?: number; readonly script?: string } = {},
): Promise<number> {
  const script = options.script === undefined ? [] : ['-s', options.script]
  const load = ['-t1', `-c${options.connections ?? 64}`, `-d${seconds}s`]
  const args = [...load, '--timeout', PATIENCE, ...script, url]
  const { stdout } = await run(findProgram('wrk') ?? 'wrk', args)
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`The run had errors:\n${stdout}`)
  return Number(/(\d+) requests in/.exec(stdout)?.[1] ?? 0)
}

/** Where a script lies that posts `length` bytes. */
export function postScript(dir: string, length: number): string {
  const path = `${dir}/post-${length}.lua`
  writeFileSync(path, `wrk.method = "POST"\nwrk.body = string.rep("x", ${length})\n`)
  return path
}

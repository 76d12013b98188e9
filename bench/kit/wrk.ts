/** Load by wrk: as fast as so many keep-alive connections go. */
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { findProgram } from '../http1/processes.ts'

const run = promisify(execFile)

/** @throws {Error} When any answer was not 2xx or any socket failed. */
export async function wrk(
  url: string,
  seconds: number,
  options: { readonly connections?: number; readonly script?: string } = {},
): Promise<number> {
  const script = options.script === undefined ? [] : ['-s', options.script]
  const args = ['-t1', `-c${options.connections ?? 64}`, `-d${seconds}s`, ...script, url]
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

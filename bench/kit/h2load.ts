/** Load by h2load (of nghttp2): HTTP/2 connections with so many calls open on each. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { findProgram } from '../http1/processes.ts'

const run = promisify(execFile)
const CONNECTIONS = 8
const STREAMS = 8

interface Options {
  /** `name: value` each. */
  readonly headers?: readonly string[]
  /** What is posted; without it GET is sent. */
  readonly bodyFile?: string
}

/** @throws {Error} When any answer was not 2xx or any call failed. */
export async function h2load(
  url: string,
  seconds: number,
  { headers = [], bodyFile }: Options = {},
): Promise<number> {
  const args = [
    ...['-t', '1', '-c', String(CONNECTIONS), '-m', String(STREAMS), '-D', String(seconds)],
    ...headers.flatMap((header) => ['-H', header]),
    ...(bodyFile === undefined ? [] : ['-d', bodyFile]),
    url,
  ]
  const { stdout } = await run(findProgram('h2load') ?? 'h2load', args)
  return completed(stdout)
}

/** Calls that were answered with 2xx, of a run in which no other thing happened. */
export function completed(stdout: string): number {
  const calls = /(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored/.exec(stdout)
  const codes = /status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx/.exec(stdout)
  if (calls === null || codes === null) throw new Error(`Cannot read what h2load says:\n${stdout}`)
  const [, , , failed, errored] = calls
  const [, good, ...others] = codes
  if (failed !== '0' || errored !== '0' || others.some((count) => count !== '0')) {
    throw new Error(`The run had errors:\n${stdout}`)
  }
  return Number(good)
}

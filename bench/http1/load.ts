/**
 * The two kinds of load: as fast as 64 connections go (wrk; says what a request
 * costs), and at a fixed rate whatever happens (own open loop; says what a caller
 * waits, without coordinated omission).
 */
import { execFile, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** What a browser-like client sends: 11 headers with Host, about 600 bytes. */
export const REQUEST_HEADERS: Readonly<Record<string, string>> = {
  Host: 'reviews:9080',
  'User-Agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)',
  Accept: 'application/json, text/plain;q=0.9, */*;q=0.8',
  'Accept-Encoding': 'gzip, deflate, br',
  'Accept-Language': 'en-GB,en;q=0.9,zh-CN;q=0.8',
  Authorization: 'Bearer 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef',
  Cookie: 'session=6fd0ab1c9e5e4f0f; theme=dark; consent=1; ab=experiment-17',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  'x-tenant': 'acme-corporation-eu-west',
  'x-remove-me': 'yes',
  'Cache-Control': 'no-cache',
}

export const REQUEST_PATH = '/reviews/0?fields=rating,text&limit=10'

export interface Throughput {
  readonly requests: number
  readonly perSecond: number
}

const run = promisify(execFile)

/**
 * Drives `port` with 64 keep-alive connections for `seconds`.
 * @throws {Error} When any answer was not 2xx or any socket failed: such a run measures nothing.
 */
export async function saturate(wrk: string, port: number, seconds: number): Promise<Throughput> {
  const headers = Object.entries(REQUEST_HEADERS).flatMap(([name, value]) => [
    '-H',
    `${name}: ${value}`,
  ])
  const url = `http://127.0.0.1:${port}${REQUEST_PATH}`
  const { stdout } = await run(wrk, ['-t1', '-c64', `-d${seconds}s`, ...headers, url])
  if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`The run had errors:\n${stdout}`)
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1])
  const perSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1])
  if (!(requests > 0)) throw new Error(`wrk completed no request:\n${stdout}`)
  return { requests, perSecond }
}

/** All in microseconds, from when a request was due until its answer was complete. */
export interface Latency {
  readonly p50Us: number
  readonly p99Us: number
}

/** Sends `perSecond` requests a second over 50 connections for `seconds`, in a process of its own. */
export function offer(port: number, perSecond: number, seconds: number): Promise<Latency> {
  const script = fileURLToPath(new URL('open-loop.ts', import.meta.url))
  return new Promise((resolve, reject) => {
    const child = fork(script, [String(port), String(perSecond), String(seconds)])
    child.once('message', (latency) => resolve(latency as Latency))
    child.once('exit', (code) => {
      if (code !== 0) reject(new Error(`The open-loop generator ended with code ${code}`))
    })
  })
}

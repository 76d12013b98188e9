/** Visitors of the bookstore: an HTTP client that knows its pages. */
import { Agent, request } from 'node:http'

export interface Visit {
  readonly status: number
  readonly body: string
  readonly tookMs: number
  readonly startedAtMs: number
}

export interface ShopClient {
  /** Never rejects: what fails has status 0 and the reason as body. */
  get(path: string): Promise<Visit>
  /** Logs in and keeps the session. */
  signIn(user: string): Promise<Visit>
  close(): void
}

const TIMEOUT_MS = 20_000

/** @param monotonicMs The clock that visits are measured with. */
export function openShopClient(url: string, monotonicMs: () => number): ShopClient {
  const agent = new Agent({ keepAlive: true })
  let cookie: string | undefined

  function visit(method: string, path: string, body?: string): Promise<Visit> {
    const startedAtMs = monotonicMs()
    const end = (status: number, text: string): Visit => ({
      status,
      body: text,
      startedAtMs,
      tookMs: monotonicMs() - startedAtMs,
    })
    return new Promise((resolve) => {
      const headers = {
        ...(cookie === undefined ? {} : { cookie }),
        ...(body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      }
      const outgoing = request(
        new URL(path, url),
        { method, agent, headers, timeout: TIMEOUT_MS },
        (response) => {
          const setCookie = response.headers['set-cookie']?.[0]
          if (setCookie !== undefined) cookie = setCookie.split(';')[0]
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('error', (error) => resolve(end(0, error.message)))
          response.on('end', () =>
            resolve(end(response.statusCode ?? 0, Buffer.concat(chunks).toString('utf8'))),
          )
        },
      )
      outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer in ${TIMEOUT_MS} ms`)))
      outgoing.on('error', (error) => resolve(end(0, error.message)))
      outgoing.end(body)
    })
  }

  return {
    get: (path) => visit('GET', path),
    signIn: (user) => visit('POST', '/login', new URLSearchParams({ username: user }).toString()),
    close: () => agent.destroy(),
  }
}

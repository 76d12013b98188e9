/** Clients of a mesh: one request or one connection, each time anew. */
import { once } from 'node:events'
import { request as requestHttp } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { request as requestHttps } from 'node:https'
import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Echo } from './echo.ts'

export interface Ask {
  readonly port: number
  readonly path?: string
  readonly host?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Over TLS with this server name. */
  readonly sni?: string
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  /** HTTP/2: with prior knowledge, or by ALPN with `sni`. */
  readonly isHttp2?: boolean
  readonly timeoutMs?: number
}

export interface Answer {
  /** 0: none came. */
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
  /** What the application saw, when it was one that says so. */
  readonly echo?: Echo
  readonly error?: string
}

export async function ask(wanted: Ask): Promise<Answer> {
  try {
    const answer = await (wanted.isHttp2 === true ? askHttp2(wanted) : askHttp1(wanted))
    const isEcho = answer.headers['x-backend'] !== undefined && answer.text.startsWith('{')
    return isEcho ? { ...answer, echo: JSON.parse(answer.text) as Echo } : answer
  } catch (error) {
    return { status: 0, headers: {}, text: '', error: String(error) }
  }
}

const LIMIT_MS = 10_000

function askHttp1(wanted: Ask): Promise<Answer> {
  const { port, path = '/', method = 'GET', headers, body, sni, ca, cert, key } = wanted
  const options = {
    ...{ host: '127.0.0.1', port, path, method, agent: false as const },
    headers: { ...(wanted.host === undefined ? {} : { host: wanted.host }), ...headers },
    ...(sni === undefined ? {} : { servername: sni, ca, cert, key }),
    timeout: wanted.timeoutMs ?? LIMIT_MS,
  }
  return new Promise((resolve, reject) => {
    const request = (sni === undefined ? requestHttp : requestHttps)(options, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: flat(response.headers), text }),
      )
      response.on('error', reject)
    })
    request.on('upgrade', (response, socket) => {
      socket.destroy()
      resolve({ status: 101, headers: flat(response.headers), text: '' })
    })
    request.on('timeout', () => request.destroy(new Error('no answer in time')))
    request.on('error', reject)
    request.end(body)
  })
}

async function askHttp2(wanted: Ask): Promise<Answer> {
  const { port, path = '/', method = 'GET', headers, body, sni, ca, cert, key } = wanted
  const scheme = sni === undefined ? 'http' : 'https'
  const session = connectHttp2(`${scheme}://127.0.0.1:${port}`, { servername: sni, ca, cert, key })
  const failed = Promise.withResolvers<never>()
  session.on('error', failed.reject)
  session.on('close', () => failed.reject(new Error('the connection was closed')))
  failed.promise.catch(() => undefined)
  try {
    const stream = session.request({
      ...{ ':method': method, ':path': path, ':scheme': scheme },
      ':authority': wanted.host ?? `127.0.0.1:${port}`,
      ...headers,
    })
    stream.on('error', failed.reject)
    stream.on('close', () => failed.reject(new Error('the stream was closed')))
    stream.setTimeout(wanted.timeoutMs ?? LIMIT_MS, () =>
      failed.reject(new Error('no answer in time')),
    )
    stream.setEncoding('utf8')
    let text = ''
    stream.on('data', (chunk: string) => {
      text += chunk
    })
    const head = once(stream, 'response')
    stream.end(body)
    const [fields] = (await Promise.race([head, failed.promise])) as [Record<string, string>]
    if (!stream.readableEnded) await Promise.race([once(stream, 'end'), failed.promise])
    return { status: Number(fields[':status']), headers: flat(fields), text }
  } finally {
    session.destroy()
  }
}

function flat(headers: object): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(', ') : String(value),
    ]),
  )
}

/** Sends bytes and gives what came back within the first answers; the error's words when none. */
export function exchangeBytes(
  port: number,
  text: string,
  tls?: {
    readonly sni?: string
    readonly ca?: string
    readonly cert?: string
    readonly key?: string
  },
): Promise<string> {
  return new Promise((resolve) => {
    const socket =
      tls === undefined
        ? connectTcp(port, '127.0.0.1')
        : connectTls({
            ...{ host: '127.0.0.1', port, servername: tls.sni ?? '' },
            ...{ ca: tls.ca, cert: tls.cert, key: tls.key },
          })
    let got = ''
    socket.setTimeout(LIMIT_MS, () => socket.destroy(new Error('no answer in time')))
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(`error ${error.code ?? error}`))
    socket.on('close', () => resolve(got === '' ? 'closed' : got))
    socket.on('data', (chunk: Buffer) => {
      got += chunk
      if (got.includes(text)) socket.end()
    })
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => socket.write(text))
  })
}

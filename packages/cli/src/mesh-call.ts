/** One call of a control plane's admin API: over http, https with or without a certificate, or a unix socket. */
import type { ClientRequest, IncomingMessage } from 'node:http'

/** Where it is and who asks. */
export type ApiTarget = {
  readonly token?: string
  /** PEM: the roots to trust; absent: the system's. */
  readonly ca?: string
  /** PEM, together. */
  readonly cert?: string
  readonly key?: string
} & (
  | { readonly url: URL; readonly socketPath?: never }
  | { readonly socketPath: string; readonly url?: never }
)

export interface CallAnswer {
  readonly status: number
  readonly text: string
}

const TIMEOUT_MS = 10_000
const CONTROL_PLANE = /^URI:spiffe:\/\/[a-z0-9._-]+\/ns\/istio-system\/sa\/istiod$/

/** As people know it. */
export function nameOfTarget(target: ApiTarget): string {
  return target.url === undefined ? `unix:${target.socketPath}` : target.url.origin
}

/** @throws When nobody answers in time, or is not who it should be. */
export async function callApi(
  target: ApiTarget,
  method: string,
  path: string,
  content?: { readonly type: string; readonly body: string },
): Promise<CallAnswer> {
  const { url, token, socketPath, ca, cert, key } = target
  const options = {
    method,
    agent: false,
    signal: AbortSignal.timeout(TIMEOUT_MS),
    headers: {
      ...(url === undefined ? { host: 'localhost' } : {}),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(content === undefined ? {} : { 'content-type': content.type }),
      accept: 'application/json',
    },
  }
  const { request } = await import(url?.protocol === 'https:' ? 'node:https' : 'node:http')
  const sent: ClientRequest =
    url === undefined
      ? request({ ...options, socketPath, path })
      : request(new URL(path, url), {
          ...options,
          ...(url.protocol === 'https:' ? await secureOptions({ ca, cert, key }) : {}),
        })
  return new Promise((resolve, reject) => {
    sent.on('error', reject)
    sent.on('response', (answer: IncomingMessage) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('error', reject)
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
      )
    })
    sent.end(content?.body)
  })
}

/** The roots of a mesh vouch for every workload in it: it must be the control plane's own certificate. */
async function secureOptions(pems: {
  readonly ca: string | undefined
  readonly cert: string | undefined
  readonly key: string | undefined
}) {
  const { checkServerIdentity } = await import('node:tls')
  const given = Object.entries(pems).filter(([, pem]) => pem !== undefined)
  return {
    ...Object.fromEntries(given),
    checkServerIdentity: (
      host: string,
      certificate: Parameters<typeof checkServerIdentity>[1],
    ): Error | undefined => {
      const names = certificate.subjectaltname?.split(', ') ?? []
      const isWorkload = names.some((name) => name.startsWith('URI:spiffe:'))
      if (!isWorkload) return checkServerIdentity(host, certificate)
      if (names.some((name) => CONTROL_PLANE.test(name))) return undefined
      return new Error('its certificate is that of a workload, not of the control plane')
    },
  }
}

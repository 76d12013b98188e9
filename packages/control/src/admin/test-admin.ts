/** A control plane with its admin API on every kind of listener, and calls of it, for tests. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type IncomingHttpHeaders, request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SocketAddress } from '@weft/model'
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from '../control-plane.ts'

const ANY: SocketAddress = { host: '127.0.0.1', port: 0 }

interface AdminAnswered {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

interface AdminCall {
  readonly path: string
  readonly method?: string
  /** Of the bearer. */
  readonly token?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Over TLS, with this certificate. */
  readonly tls?: { readonly cert?: string; readonly key?: string }
  /** Over the unix socket. */
  readonly isSocket?: boolean
}

export interface AdminStage extends AsyncDisposable {
  readonly folder: string
  readonly plane: ControlPlane
  readonly socketPath: string
  call(call: AdminCall): Promise<AdminAnswered>
  /** As the owner; the answer as JSON. */
  asOwner(method: 'GET' | 'POST', path: string, body?: object): Promise<unknown>
}

/** @param files Of the watched folder. */
export async function openAdminStage(
  files: Readonly<Record<string, string>> = {},
  more: Partial<ControlPlaneOptions> = {},
): Promise<AdminStage> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-admin-'))
  const mesh = join(folder, 'mesh')
  mkdirSync(mesh)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(mesh, name), text)
  const socketPath = join(folder, 'run', 'admin.sock')
  const plane = await startControlPlane({
    sources: [mesh],
    xds: ANY,
    xdsTls: ANY,
    admin: ANY,
    adminTls: ANY,
    adminSocketPath: socketPath,
    stateDir: join(folder, 'state'),
    ca: { bootstrapFolder: join(folder, 'bootstrap') },
    ...more,
  })
  const call = (one: AdminCall): Promise<AdminAnswered> => send(plane, socketPath, one)
  return {
    folder,
    plane,
    socketPath,
    call,
    async asOwner(method, path, body) {
      const { body: text } = await call({
        path,
        method,
        token: plane.ownerToken,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return JSON.parse(text)
    },
    async [Symbol.asyncDispose]() {
      await plane.close()
      rmSync(folder, { recursive: true })
    },
  }
}

function send(plane: ControlPlane, socketPath: string, call: AdminCall): Promise<AdminAnswered> {
  const { path, method = 'GET', token, headers, body, tls, isSocket } = call
  const common = {
    path,
    method,
    agent: false,
    headers: {
      host: 'localhost',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    },
  } as const
  const { host, port } = (tls === undefined ? plane.admin : plane.adminTls) ?? ANY
  return new Promise((resolve, reject) => {
    const sent =
      tls === undefined
        ? plainRequest({ ...common, ...(isSocket === true ? { socketPath } : { host, port }) })
        : tlsRequest({ ...common, ...tls, host, port, rejectUnauthorized: false })
    sent.on('error', reject)
    sent.on('response', (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (piece: string) => {
        text += piece
      })
      answer.on('error', reject)
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text }),
      )
    })
    sent.end(body)
  })
}

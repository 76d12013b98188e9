/**
 * A broker whose control plane is on another machine, as far as one machine can show it: mutual
 * TLS only, a join token to begin with, and `--brokers` says for whom it may speak.
 */
import assert from 'node:assert/strict'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { freePort } from '@weft/testkit'
import { eventually } from '../e2e/weft.ts'
import { type IdentityMesh, startIdentityMesh } from './identity-mesh.ts'

const RULES = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: callers, namespace: shop }
spec:
  action: ALLOW
  rules:
  - from: [{ source: { principals: [cluster.local/ns/shop/sa/web] } }]
`

describe('a broker of another machine', () => {
  let mesh: IdentityMesh
  let application: Server
  let broker = ''
  const control = () => `127.0.0.1:${mesh.xdsPort}`

  before(async () => {
    const secure = await freePort()
    mesh = await startIdentityMesh('broker-remote', [
      ...['--xds-tls', `127.0.0.1:${secure}`, '--brokers', 'edge/broker=shop'],
    ])
    mesh.write('rules.yaml', RULES)
    application = createServer((_asked, answer) => answer.end('books'))
    const appPort = await new Promise<number>((resolve) => {
      application.listen(0, '127.0.0.1', () => resolve((application.address() as AddressInfo).port))
    })
    await mesh.start(
      [
        ...['proxy', '--control', control(), '-n', 'shop', '--service', 'books', '--port', '9080'],
        ...['--app-port', String(appPort), '--service-account', 'books'],
        ...['--outbound', '127.0.0.1:0', '--admin', '127.0.0.1:0'],
        ...['--state', join(mesh.folder, 'state-books')],
      ],
      'It has its configuration',
    )
    const made = await mesh.weft([
      ...['join-token', 'create', '-n', 'edge', '--service-account', 'broker'],
      ...['--control', `http://127.0.0.1:${mesh.adminPort}`],
    ])
    assert.equal(made.exitCode, 0, made.errors)
    const running = await mesh.start(
      [
        ...['broker', '--control', `tls:127.0.0.1:${secure}`, '-n', 'edge'],
        ...['--join-token', made.output.trim(), '--state', join(mesh.folder, 'broker'), '--json'],
        ...['--listen', '127.0.0.1:0', '--listen-ws', 'off', '--admin', '127.0.0.1:0'],
      ],
      '"ready":true',
    )
    broker = /"tcp":"([^"]+)"/.exec(running.output())?.[1] ?? ''
  })

  after(async () => {
    await mesh[Symbol.asyncDispose]()
    application.close()
    application.closeAllConnections()
  })

  /** An agent's HTTP proxy; the agent has dialled in as that account. */
  const dialIn = async (namespace: string, account: string) => {
    const made = await mesh.weft([
      ...['token', 'create', '-n', namespace, '--service-account', account],
      ...['--control', control()],
    ])
    assert.equal(made.exitCode, 0, made.errors)
    const port = await freePort()
    await mesh.start(
      [
        ...['agent', '--broker', broker, '--broker-token', made.output.trim()],
        ...['--name', account, '-n', namespace, '--outbound', `127.0.0.1:${port}`, '--json'],
      ],
      '"ready":true',
    )
    return port
  }

  const ask = (port: number): Promise<number> =>
    new Promise((resolve, reject) => {
      const path = 'http://books.shop:9080/'
      request({ host: '127.0.0.1', port, path, agent: false }, (answer) => {
        answer.resume()
        resolve(answer.statusCode ?? 0)
      })
        .on('error', reject)
        .end()
    })

  test('speaks for who has dialled in, as them', async () => {
    const web = await dialIn('shop', 'web')
    await eventually(
      () => ask(web),
      (status) => status === 200,
    )
    const mallory = await dialIn('shop', 'mallory')
    await eventually(
      () => ask(mallory),
      (status) => status === 403,
    )
  })

  test('not for workloads of other namespaces: they reach nobody', async () => {
    assert.equal(await ask(await dialIn('bank', 'web')), 503)
  })
})

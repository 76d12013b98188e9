/** Refused connections in the access log, over real sockets. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect as connectTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect } from 'node:tls'
import type { FilterChain, NetworkRbac, Secret } from '@weft/model'
import { createTestCa } from '@weft/testkit'
import { adminGet, get, openApp, openProxy, REVIEWS } from '../test-proxy.ts'
import { cluster, endpoints, listener, setOf, table } from '../test-resources.ts'

const ca = createTestCa()
const server = ca.issue({ dns: ['one.test'] })
const SECRETS: readonly Secret[] = [
  { kind: 'certificate', name: 'cert', chainPem: server.certPem, keyPem: server.keyPem },
  { kind: 'validation', name: 'ca', caPem: ca.caPem },
]
const DENY_ALL: NetworkRbac = {
  statPrefix: 'tcp.',
  rules: {
    action: 'deny',
    policies: [
      { name: 'none', permissions: [{ kind: 'any' }], principals: [{ kind: 'any' }], origins: [] },
    ],
  },
}

/** What the log says after `calls`, oldest first. */
async function logged(
  chain: Partial<FilterChain>,
  calls: (port: number) => Promise<void>,
): Promise<{ lines: Record<string, unknown>[]; stats: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-'))
  const accessLog = join(folder, 'access.log')
  const outbound = { host: '127.0.0.1', port: 0 }
  const { proxy, publish } = await openProxy('web', { outbound, accessLog })
  const app = await openApp(() => 'hello')
  try {
    const port = proxy.outbound?.port ?? 0
    const base = listener('weft:outbound', 'outbound', port)
    const filterChains = base.filterChains.map((one) => ({ ...one, ...chain }))
    const set = setOf({
      listener: [{ ...base, filterChains }],
      route: [table([REVIEWS])],
      cluster: [cluster(REVIEWS)],
      endpoints: [endpoints(REVIEWS, [`127.0.0.1:${app.port}`], false)],
    })
    publish({ ...set, secret: new Map(SECRETS.map((secret) => [secret.name, secret])) })
    await calls(port)
    const stats = (await adminGet(proxy, '/stats')).body
    await proxy.close()
    const text = await readFile(accessLog, 'utf8')
    const lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    return { lines, stats }
  } finally {
    app.server.close()
    await proxy.close()
    await rm(folder, { recursive: true })
  }
}

/** Ends when the proxy closes. */
async function visit(port: number, options: { cert?: string; key?: string; servername?: string }) {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options })
  await new Promise((resolve) => socket.on('error', () => {}).on('close', resolve))
}

const MUTUAL = {
  tls: {
    certificates: ['cert'],
    validation: 'ca',
    requireClientCertificate: true,
    alpn: ['http/1.1'],
  },
} satisfies Partial<FilterChain>

test('each failed handshake has a line that says why', async () => {
  const stranger = createTestCa('other').issue({ uri: ['spiffe://mesh/ns/a/sa/b'] })
  const { lines } = await logged(MUTUAL, async (port) => {
    await visit(port, { servername: 'one.test' })
    await visit(port, { cert: stranger.certPem, key: stranger.keyPem })
    await assert.rejects(get(port, '/plain'))
  })
  const reasons = lines.map((line) => String(line.downstream_transport_failure_reason))
  assert.equal(reasons.length, 3)
  assert.match(reasons[0] ?? '', /peer did not return a certificate/)
  assert.match(reasons[1] ?? '', /issuer|self.signed|verify|trust/i)
  assert.equal(reasons[2], 'not a TLS connection')
  assert.equal(lines[0]?.requested_server_name, 'one.test')
  assert.deepEqual(
    lines.map(({ response_code }) => response_code),
    [0, 0, 0],
  )
  assert.match(String(lines[0]?.downstream_remote_address), /^127\.0\.0\.1:\d+$/)
})

test('a connection that no filter chain is for has Envoy’s line and is counted', async () => {
  const only = { destinationPrefixes: [], sourcePrefixes: [], applicationProtocols: [] }
  const match = { ...only, serverNames: ['one.test'], transportProtocol: 'tls' } as const
  const { lines, stats } = await logged({ ...MUTUAL, match }, async (port) => {
    await visit(port, { servername: 'two.test' })
    await assert.rejects(get(port, '/plain'))
  })
  assert.deepEqual(
    lines.map((line) => [
      line.response_flags,
      line.response_code_details,
      line.requested_server_name,
    ]),
    [
      ['NR', 'filter_chain_not_found', 'two.test'],
      ['NR', 'filter_chain_not_found', null],
    ],
  )
  assert.match(stats, /^listener\.127\.0\.0\.1:\d+\.no_filter_chain_match: 2$/m)
})

test('rules about connections refuse one of an HTTP chain with a line, too', async () => {
  const { lines } = await logged({ rbac: [DENY_ALL] }, async (port) => {
    const socket = connectTcp(port, '127.0.0.1')
    await new Promise((resolve) => socket.on('error', () => {}).on('close', resolve))
  })
  const details = 'rbac_access_denied_matched_policy[none]'
  assert.equal(lines[0]?.connection_termination_details, details)
  assert.equal(lines[0]?.denied_because, 'it holds for everybody')
  assert.equal(lines[0]?.method, null)
})

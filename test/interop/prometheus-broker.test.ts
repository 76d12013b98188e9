/**
 * A real Prometheus finds applications through the broker and scrapes them through it: they dial
 * out and have no port that it could reach.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import { Broker, HttpAgent, openBrokerAdmin } from '@weft/broker'
import { createHandleTransport } from '@weft/net'
import { connect } from '@weft/rsocket'
import { eventually } from '@weft/testkit'
import { missing } from './peers.ts'
import { npmPrograms } from './rsocket-programs.ts'

const HERE = { host: '127.0.0.1', port: 0 }
const TOKEN = 'token-of-prometheus-here'
const deps = { clock: realClock, log: silentLogger, random: Math.random }

interface Series {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [number, string]
}

describe('Prometheus and a broker', { skip: missing('prometheus') }, () => {
  const stack = new AsyncDisposableStack()
  let home = ''
  let prometheus = ''

  before(async () => {
    if (missing('prometheus') !== false) return
    home = await mkdtemp(join(tmpdir(), 'weft-prometheus-'))
    stack.defer(() => rm(home, { recursive: true, force: true }))
    const broker = new Broker({ id: 'b' }, { transport: createHandleTransport(), ...deps })
    stack.defer(() => broker.close())
    const { port } = await broker.listen({ kind: 'tcp', address: HERE })
    // As Prometheus reaches it from elsewhere: nobody gets in without a token.
    const admin = await openBrokerAdmin(
      {
        ...{ address: { host: '0.0.0.0', port: 0 }, info: {} },
        ...{ token: 'token-of-the-admin-port', scrapeToken: TOKEN },
      },
      { broker, log: silentLogger, state: () => 'LIVE' },
    )
    stack.defer(() => admin.close())
    await openHttpApplication(stack, home, port)
    await openRSocketApplication(stack, port)
    const stock = await connect({
      ...{ brokers: [`tcp://127.0.0.1:${port}`], app: 'stock', namespace: 'shop' },
      ...{ instance: 'stock-1', labels: { version: 'v3' } },
      services: {
        'com.acme.Stock': { count: () => 5 },
        'weft.metrics': { scrape: () => '# TYPE stock_items gauge\nstock_items 5\n' },
      },
    })
    stack.defer(() => stock.close())
    prometheus = await startPrometheus(stack, home, admin.address.port)
  })

  after(() => stack.disposeAsync())

  async function query(text: string): Promise<readonly Series[]> {
    const url = `${prometheus}/api/v1/query?query=${encodeURIComponent(text)}`
    const answer = await (await fetch(url)).json()
    return (answer as { data: { result: readonly Series[] } }).data.result
  }

  /** `app namespace service version = value`, sorted. */
  async function shown(text: string): Promise<readonly string[]> {
    const found = await query(text)
    const rows = found.map(({ metric, value }) => {
      const { app, namespace, service, version, instance } = metric
      return `${app} ${namespace} ${service} ${version} ${instance} = ${value[1]}`
    })
    return rows.sort()
  }

  test('discovers an application behind an agent, a client of npm and one of the SDK, and all are up', async () => {
    await eventually(
      async () =>
        assert.deepEqual(await shown('up{job="mesh"}'), [
          'broken shop broken v0 broken-1 = 0',
          'cart shop com.acme.Cart v7 cart-1 = 1',
          'stock shop com.acme.Stock v3 stock-1 = 1',
          'web shop web v1 web-1 = 1',
        ]),
      30_000,
    )
    assert.deepEqual(await shown('web_requests_total'), ['web shop web v1 web-1 = 42'])
    assert.deepEqual(await shown('stock_items'), ['stock shop com.acme.Stock v3 stock-1 = 5'])
    assert.deepEqual(await shown('cart_items'), ['cart shop com.acme.Cart v7 cart-1 = 3'])
  })

  test('tells why an application that cannot be scraped is down', async () => {
    const answer = await (await fetch(`${prometheus}/api/v1/targets?state=active`)).json()
    const { activeTargets } = (
      answer as {
        data: { activeTargets: readonly { labels: { app: string }; lastError: string }[] }
      }
    ).data
    const broken = activeTargets.find(({ labels }) => labels.app === 'broken')
    assert.match(broken?.lastError ?? '', /server returned HTTP status 502/)
  })
})

/** Two agents on a socket file: one application has metrics, the other says that it has. */
async function openHttpApplication(stack: AsyncDisposableStack, home: string, port: number) {
  const path = join(home, 'web.sock')
  const server = createServer(({ url }, response) => {
    if (url !== '/metrics') response.writeHead(500).end()
    else {
      response.setHeader('content-type', 'text/plain; version=0.0.4')
      response.end('# TYPE web_requests_total counter\nweb_requests_total 42\n')
    }
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  stack.defer(() => {
    server.close()
    server.closeAllConnections()
  })
  for (const [app, version, metricsPath] of [
    ['web', 'v1', '/metrics'],
    ['broken', 'v0', '/elsewhere'],
  ] as const) {
    const agent = new HttpAgent(
      {
        brokers: [{ kind: 'tcp', address: { host: '127.0.0.1', port } }],
        ...{ links: 2, instance: `${app}-1`, app, namespace: 'shop', zone: '' },
        ...{ labels: { version }, services: [{ name: app, port: 80 }] },
        ...{ application: { path }, metrics: { address: { path }, path: metricsPath } },
      },
      deps,
    )
    stack.defer(() => agent.close())
    await agent.open()
  }
}

/** A client of npm that answers by itself. */
async function openRSocketApplication(stack: AsyncDisposableStack, port: number) {
  const [alpha] = npmPrograms
  assert.ok(alpha !== undefined)
  const program = await alpha.dial({
    ...{ carrier: 'tcp', port, caPem: '', services: ['com.acme.Cart'], app: 'cart' },
    ...{ instance: 'cart-1', namespace: 'shop', labels: { version: 'v7' }, hasMetrics: true },
    answer: () => '# TYPE cart_items gauge\ncart_items 3\n',
  })
  stack.defer(() => program.close())
}

async function startPrometheus(
  stack: AsyncDisposableStack,
  home: string,
  adminPort: number,
): Promise<string> {
  // Without the type some versions send none for http_sd_configs.
  const authorization = `authorization: { type: Bearer, credentials: ${TOKEN} }`
  const config = [
    'global: { scrape_interval: 500ms, scrape_timeout: 500ms }',
    'scrape_configs:',
    '- job_name: mesh',
    `  ${authorization}`,
    '  http_sd_configs:',
    `  - url: http://127.0.0.1:${adminPort}/sd/prometheus`,
    '    refresh_interval: 500ms',
    `    ${authorization}`,
  ]
  await writeFile(join(home, 'prometheus.yml'), `${config.join('\n')}\n`)
  const child = spawn(
    'prometheus',
    [
      `--config.file=${join(home, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(home, 'data')}`,
      '--web.listen-address=127.0.0.1:0',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  stack.defer(async () => {
    if (child.exitCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text
  })
  return eventually(() => {
    const address = /Listening on"? address=(127\.0\.0\.1:\d+)/.exec(log)?.[1]
    assert.ok(address !== undefined, log)
    return `http://${address}`
  }, 30_000)
}

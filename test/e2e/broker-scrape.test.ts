/** `weft broker` and `weft agent`: metrics of an application that has no port others reach. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { eventually, runWeft, startWeft, temporaryFolder } from './weft.ts'

test('Prometheus finds and scrapes an application behind weft agent by way of weft broker', async () => {
  await using home = await temporaryFolder()
  const tokenFile = join(home.path, 'scrape-token')
  await writeFile(tokenFile, 'token-of-prometheus-here\n', { mode: 0o600 })
  const application = createServer(({ url }, response) => response.end(`asked{path="${url}"} 1\n`))
  await new Promise<void>((resolve) => application.listen(0, '127.0.0.1', resolve))
  const { port } = application.address() as AddressInfo
  using _closing = {
    [Symbol.dispose]() {
      application.close()
      application.closeAllConnections()
    },
  }
  await using broker = startWeft([
    ...['broker', '--standalone', '--allow-anonymous', '--json', '--admin', '127.0.0.1:0'],
    ...['--listen', '127.0.0.1:0', '--listen-ws', 'off', '--scrape-token-file', tokenFile],
  ])
  await broker.saw('"ready":true')
  const lines = broker.output().split('\n')
  const up = JSON.parse(lines.find((line) => line.includes('"ready":true')) ?? '{}')
  await using _agent = startWeft([
    ...['agent', '--broker', up.tcp, '--name', 'reviews-v1', '-n', 'shop', '--version', 'v1'],
    ...['--no-outbound', '--metrics-port', String(port), '--metrics-path', '/actuator/prom'],
  ])
  const groups = await eventually(
    async () => (await fetch(`${up.admin}/sd/prometheus`)).json() as Promise<readonly Group[]>,
    (found) => found.length === 1,
  )
  const { targets, labels } = groups[0] ?? { targets: [], labels: {} }
  assert.deepEqual(targets, [new URL(up.admin).host])
  assert.deepEqual([labels.app, labels.namespace, labels.version], ['reviews-v1', 'shop', 'v1'])
  const scraped = await fetch(`http://${targets[0]}${labels.__metrics_path__}`)
  assert.equal(scraped.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  assert.equal(await scraped.text(), 'asked{path="/actuator/prom"} 1\n')
})

test('what cannot be scraped is refused before anything starts', async () => {
  const agent = ['agent', '--broker', '127.0.0.1:1', '--no-outbound']
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [['--metrics-path', '/metrics'], /--metrics-path needs --metrics-port, --app-port/],
    [['--metrics-path', 'metrics', '--metrics-port', '9'], /must begin with \//],
    [['--metrics-port', '70000'], /must be a port from 1 to 65535/],
  ]
  for (const [options, why] of wrong) {
    const { exitCode, errors } = await runWeft([...agent, ...options])
    assert.equal(exitCode, 2, errors)
    assert.match(errors, why)
  }
})

interface Group {
  readonly targets: readonly string[]
  readonly labels: Readonly<Record<string, string>>
}

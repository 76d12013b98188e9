/** Test support: brokers on loopback, and clients of them that end with the test. */
import type { TestContext } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import { Broker, type BrokerDeps, type BrokerOptions } from '@weft/broker'
import { createHandleTransport, serverTlsContext } from '@weft/net'
import { createTestCa } from '@weft/testkit'
import { type ConnectOptions, connect, type RSocketClient } from './index.ts'

export type Scheme = 'tcp' | 'ws' | 'tls'

export interface TestBroker {
  readonly broker: Broker
  readonly uri: string
  readonly port: number
  readonly caPem: string
}

const ca = createTestCa()
const issued = ca.issue({ dns: ['localhost'] })

export async function openBroker(
  t: TestContext,
  scheme: Scheme = 'tcp',
  {
    id = 'b',
    port = 0,
    ...rest
  }: Partial<BrokerOptions> & Partial<BrokerDeps> & { readonly port?: number } = {},
): Promise<TestBroker> {
  const broker = new Broker(
    { id, ...(rest.limits === undefined ? {} : { limits: rest.limits }) },
    {
      transport: createHandleTransport(),
      ...{ clock: realClock, log: silentLogger, random: Math.random },
      ...rest,
    },
  )
  t.after(() => broker.close())
  const certificates = [{ chainPem: issued.certPem, keyPem: issued.keyPem }]
  const context = serverTlsContext({ parameters: {}, certificates, alpn: [] }, 'none')
  const address = await broker.listen({
    kind: scheme === 'ws' ? 'websocket' : 'tcp',
    address: { host: '127.0.0.1', port },
    ...(scheme === 'tls' ? { tls: () => context } : {}),
  })
  const uri = `${scheme}://127.0.0.1:${address.port}`
  return { broker, uri, port: address.port, caPem: ca.caPem }
}

export async function openClient(
  t: TestContext,
  brokers: readonly TestBroker[],
  options: Partial<ConnectOptions> = {},
): Promise<RSocketClient> {
  const client = await connect({
    brokers: brokers.map(({ uri }) => uri),
    tls: { ca: ca.caPem, serverName: 'localhost' },
    ...options,
  })
  t.after(() => client.close(0))
  return client
}

export async function collect(items: AsyncIterable<{ text(): string }>): Promise<string[]> {
  const texts: string[] = []
  for await (const item of items) texts.push(item.text())
  return texts
}

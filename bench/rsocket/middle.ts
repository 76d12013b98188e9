/**
 * What stands in the middle, as a process.
 *
 *     broker PORT [CERTIFICATE KEY]     as PEM texts
 *     bridge PORT BROKER_PORT           a broker, and HTTP that becomes RSocket in its process
 *     agent PORT BROKER_PORT ORIGIN     RSocket that becomes HTTP again; PORT is its HTTP proxy
 *     pipe PORT ORIGIN                  moves the bytes of a TCP connection and looks at none: the
 *                                       floor for anything that forwards
 */
import { createServer as createHttpServer } from 'node:http'
import { connect, createServer } from 'node:net'
import { realClock, silentLogger } from '@weft/base'
import { Broker, HttpAgent } from '@weft/broker'
import { createHandleTransport, serverTlsContext } from '@weft/net'
import { serveHttp } from '../../packages/broker/src/http/serve-http.ts'
import { attachLocalPeer } from '../../packages/broker/src/local-peer.ts'
import { HTTP_SERVICE } from './middle-kinds.ts'

const [what, port, origin, keyPem] = process.argv.slice(2)
const deps = { clock: realClock, log: silentLogger, random: Math.random }
const at = (port: string | undefined) => ({ host: '127.0.0.1', port: Number(port) })
const openBroker = () =>
  new Broker({ id: 'bench' }, { transport: createHandleTransport(), ...deps })

if (what === 'bridge') {
  const broker = openBroker()
  await broker.listen({ kind: 'tcp', address: at(origin) })
  const { peer } = attachLocalPeer(broker, {
    setup: { keepaliveMs: 0x7fff_ffff, maxLifetimeMs: 0x7fff_ffff, lease: false, dataMime: '' },
    ...{ metadataForm: 'composite', isAlibaba: false, instance: undefined },
    ...{ identity: { principal: undefined, claims: undefined }, features: new Set(['http']) },
  })
  createHttpServer({ keepAliveTimeout: 600_000 }, (request, response) =>
    serveHttp(request, response, {
      pick: (tried) => (tried.length === 0 ? peer : undefined),
      admitRetry: () => false,
    }),
  ).listen(at(port))
} else if (what === 'agent') {
  const agent = new HttpAgent(
    {
      ...{ brokers: [{ kind: 'tcp', address: at(origin) }], links: 1, instance: 'bench' },
      ...{ app: 'echo', namespace: 'default', labels: {}, zone: '', outbound: at(port) },
      ...{ services: [{ name: HTTP_SERVICE, port: 80 }], application: at(keyPem) },
    },
    deps,
  )
  await agent.open()
} else if (what === 'broker') {
  const broker = openBroker()
  const context =
    origin === undefined || keyPem === undefined
      ? undefined
      : serverTlsContext(
          { parameters: {}, certificates: [{ chainPem: origin, keyPem }], alpn: [] },
          'none',
        )
  await broker.listen({
    kind: 'tcp',
    address: at(port),
    ...(context === undefined ? {} : { tls: () => context }),
  })
} else {
  createServer({ noDelay: true }, (near) => {
    const far = connect({ host: '127.0.0.1', port: Number(origin), noDelay: true })
    near.pipe(far).pipe(near)
    near.on('error', () => far.destroy())
    far.on('error', () => near.destroy())
  }).listen(Number(port), '127.0.0.1')
}

/**
 * What stands in the middle, as a process: `broker PORT [CERTIFICATE KEY]` (as PEM texts), or
 * `pipe PORT ORIGIN`, which moves the bytes of a TCP connection and looks at none: the floor for
 * anything that forwards.
 */
import { connect, createServer } from 'node:net'
import { realClock, silentLogger } from '@weft/base'
import { Broker } from '@weft/broker'
import { createHandleTransport, serverTlsContext } from '@weft/net'

const [what, port, origin, keyPem] = process.argv.slice(2)

if (what === 'broker') {
  const broker = new Broker(
    { id: 'bench' },
    {
      transport: createHandleTransport(),
      clock: realClock,
      log: silentLogger,
      random: Math.random,
    },
  )
  const context =
    origin === undefined || keyPem === undefined
      ? undefined
      : serverTlsContext(
          { parameters: {}, certificates: [{ chainPem: origin, keyPem }], alpn: [] },
          'none',
        )
  await broker.listen({
    kind: 'tcp',
    address: { host: '127.0.0.1', port: Number(port) },
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

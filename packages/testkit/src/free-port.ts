import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * A loopback port that nobody listens on now, for programs that cannot take port 0 and say which
 * one they got (Envoy, files that name a port).
 */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (typeof address !== 'object' || address === null) throw new Error('Cannot find a free port')
  return address.port
}

/** A network between two programs that a test can cut: what goes through is held, not refused. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export interface Relay extends AsyncDisposable {
  readonly port: number
  /** Nothing goes through any more and nobody is told, as when a cable is pulled. */
  cut(): void
  /** Goes on; connections from before are reset, as by a network that has forgotten them. */
  heal(): void
}

/** @param to Port on loopback to which it leads; nobody has to listen there yet. */
export async function openRelay(to: number): Promise<Relay> {
  const sockets = new Set<Socket>()
  let isCut = false
  const keep = (socket: Socket): Socket => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => sockets.delete(socket))
    if (isCut) socket.pause()
    return socket
  }
  const server = createServer({ noDelay: true }, (from) => {
    keep(from)
    // Whoever dials now hears nothing at all; a handshake of TLS does not get through.
    if (isCut) return
    const on = keep(connect({ host: '127.0.0.1', port: to, noDelay: true }))
    link(from, on)
    link(on, from)
  })
  /** A side that waits to be drained is not resumed while the network is cut. */
  const link = (from: Socket, on: Socket): void => {
    from.on('data', (bytes) => {
      if (on.write(bytes)) return
      from.pause()
      on.once('drain', () => {
        if (!isCut) from.resume()
      })
    })
    from.once('close', () => {
      if (!isCut) on.destroy()
    })
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    cut() {
      isCut = true
      for (const socket of sockets) socket.pause()
    },
    heal() {
      isCut = false
      for (const socket of sockets) socket.resetAndDestroy()
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** A connection that was upgraded and stays: echoes prove that it lives. */
import { connect, type Socket } from 'node:net'

export interface WebSocketProbe {
  readonly isOpen: boolean
  /** Sends a few bytes; resolves when they are back. */
  echo(): Promise<void>
  end(): void
}

export function openWebSocket(port: number, host = 'app'): Promise<WebSocketProbe> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let received = ''
    let isOpen = true
    let onData: () => void = () => undefined
    socket.once('close', () => {
      isOpen = false
      reject(new Error(`The connection closed; it had got ${JSON.stringify(received)}`))
    })
    socket.on('error', () => undefined)
    // One for every echo.
    socket.setMaxListeners(0)
    socket.setEncoding('latin1').on('data', (text: string) => {
      received += text
      onData()
    })
    onData = () => {
      if (!received.includes('\r\n\r\n')) return
      if (!received.startsWith('HTTP/1.1 101')) reject(new Error(received))
      received = ''
      onData = () => undefined
      resolve(probe())
    }
    const probe = (): WebSocketProbe => ({
      get isOpen() {
        return isOpen
      },
      echo: () => echo(socket),
      end: () => socket.destroy(),
    })
    const echo = (on: Socket): Promise<void> =>
      new Promise((done, failed) => {
        if (!isOpen) failed(new Error('The connection is closed'))
        on.once('close', () => failed(new Error('The connection closed')))
        received = ''
        onData = () => {
          if (received === 'are you there') done()
        }
        on.write('are you there')
      })
    socket.write(
      `GET /socket HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    )
  })
}

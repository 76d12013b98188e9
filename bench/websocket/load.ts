/** WebSocket clients with one message each on its way: what goes out has to come back as it was. */
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'

const CLIENT_FRAME = 0x82
const MASKED = 0x80
const EXTENDED_16 = 126
const MAX_16 = 65_535

/** A binary message as a client sends it (RFC 6455, section 5.2), under one mask. */
export function clientFrame(length: number): Buffer {
  if (length > MAX_16) throw new Error(`${length} bytes are more than this client sends at once`)
  const short = length < EXTENDED_16
  const head = short
    ? Buffer.from([CLIENT_FRAME, MASKED | length])
    : Buffer.from([CLIENT_FRAME, MASKED | EXTENDED_16, length >> 8, length & 0xff])
  return Buffer.concat([head, randomBytes(4), Buffer.alloc(length, 'x')])
}

/** Resolves with a connection on which the protocol was switched. */
export function openWebSocket(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let answer = ''
    socket.once('error', reject)
    socket.write(
      `GET /socket HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
    )
    socket.on('data', function onAnswer(bytes: Buffer) {
      answer += bytes.toString('latin1')
      if (!answer.includes('\r\n\r\n')) return
      socket.off('data', onAnswer)
      if (answer.startsWith('HTTP/1.1 101')) resolve(socket)
      else reject(new Error(`The protocol was not switched: ${answer.split('\r\n')[0]}`))
    })
  })
}

/**
 * Sends messages as fast as they come back.
 *
 * @returns How many came back.
 * @throws {Error} When a connection is lost, or a message comes back changed.
 */
export async function echoMessages(
  port: number,
  seconds: number,
  { connections, length }: { readonly connections: number; readonly length: number },
): Promise<number> {
  const frame = clientFrame(length)
  const sockets = await Promise.all(Array.from({ length: connections }, () => openWebSocket(port)))
  let echoed = 0
  let going = true
  const ends = sockets.map(
    (socket) =>
      new Promise<void>((resolve, reject) => {
        let at = 0
        socket.once('error', reject)
        socket.once('close', () => {
          if (going) reject(new Error('A connection was lost'))
          else resolve()
        })
        socket.on('data', (bytes: Buffer) => {
          if (frame.compare(bytes, 0, bytes.length, at, at + bytes.length) !== 0) {
            reject(new Error('A message came back changed'))
            return
          }
          at += bytes.length
          if (at < frame.length) return
          at = 0
          echoed++
          if (going) socket.write(frame)
          else socket.destroy()
        })
        socket.write(frame)
      }),
  )
  setTimeout(() => {
    going = false
  }, seconds * 1_000)
  try {
    await Promise.all(ends)
  } finally {
    for (const socket of sockets) socket.destroy()
  }
  return echoed
}

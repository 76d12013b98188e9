/**
 * Opens connections, lets each carry one request and keeps them. Prints `open` when all
 * stand, then waits to be ended. A process of its own, so that what it weighs and how
 * many files it may open are nobody else's.
 *
 *     node hold.ts KIND PORT COUNT
 */
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { openWebSocket } from '../websocket/load.ts'

/** Opened at the same time. */
const AT_ONCE = 50
const REQUEST = 'GET /bytes/10 HTTP/1.1\r\nHost: bench\r\n\r\n'
/** Preface, SETTINGS and a GET of `/` (RFC 9113, sections 3.4 and 6; RFC 7541, appendix A). */
const HTTP2_REQUEST = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
  Buffer.from([0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x41, 1, 0x61]),
])
const SETTINGS_ACK = Buffer.from([0, 0, 0, 4, 1, 0, 0, 0, 0])
const FRAME_HEAD_BYTES = 9
const DATA = 0
const END_STREAM = 1

function answered(socket: Socket, isWhole: (soFar: Buffer) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    let soFar = Buffer.alloc(0)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('A connection was closed')))
    socket.on('data', function onAnswer(bytes: Buffer) {
      soFar = Buffer.concat([soFar, bytes])
      if (!isWhole(soFar)) return
      socket.off('data', onAnswer)
      socket.resume()
      resolve()
    })
  })
}

function isWholeHttp1(soFar: Buffer): boolean {
  const text = soFar.toString('latin1')
  if (text.length > 12 && !text.startsWith('HTTP/1.1 200')) throw new Error(text)
  return text.endsWith('xxxxxxxxxx')
}

function isWholeHttp2(soFar: Buffer): boolean {
  for (let at = 0; at + FRAME_HEAD_BYTES <= soFar.length; ) {
    const end = at + FRAME_HEAD_BYTES + soFar.readUIntBE(at, 3)
    if (soFar[at + 3] === DATA && ((soFar[at + 4] ?? 0) & END_STREAM) !== 0) {
      return end <= soFar.length
    }
    at = end
  }
  return false
}

const openers: Readonly<Record<string, (port: number) => Promise<void>>> = {
  http1(port) {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.write(REQUEST)
    return answered(socket, isWholeHttp1)
  },
  tls(port) {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
    socket.write(REQUEST)
    return answered(socket, isWholeHttp1)
  },
  async http2(port) {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.write(HTTP2_REQUEST)
    await answered(socket, isWholeHttp2)
    socket.write(SETTINGS_ACK)
  },
  async websocket(port) {
    const socket = await openWebSocket(port)
    socket.once('close', () => {
      throw new Error('A connection was closed')
    })
    socket.resume()
  },
}

const [kind = '', port = '', count = ''] = process.argv.slice(2)
const open = openers[kind]
if (open === undefined) throw new Error(`No such kind: ${kind}`)
for (let left = Number(count); left > 0; left -= AT_ONCE) {
  await Promise.all(Array.from({ length: Math.min(left, AT_ONCE) }, () => open(Number(port))))
}
console.log('open')
setInterval(() => undefined, 60_000)

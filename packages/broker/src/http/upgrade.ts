/**
 * WebSocket over RSocket: a request with `Upgrade: websocket` is a channel whose HTTP entry has
 * that field, which is otherwise never there. Once the answer is 101, items are bytes both ways.
 */
import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { HttpClientCall, type HttpRequestEntry, type HttpResponseEntry } from '@weft/wire'
import { endToEnd } from './fields.ts'
import { finish } from './relay-upgrade.ts'
import { type HttpPeers, headOf } from './serve-http.ts'
import { answerOfError } from './status-of-error.ts'

const PROTOCOL = 'websocket'

/** Others, such as h2c, are let be: the request is answered as if it had not asked. */
export function isWebSocket({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
  return headers.upgrade?.toLowerCase() === PROTOCOL
}

/** The HTTP message wants to be one. */
export function asksForWebSocket({ fields }: HttpRequestEntry): boolean {
  return fields.some(([name, value]) => name === 'upgrade' && value.toLowerCase() === PROTOCOL)
}

/** @param early What came behind the request's head. */
export function serveUpgrade(
  request: IncomingMessage,
  socket: Duplex,
  early: Buffer,
  peers: Pick<HttpPeers, 'pick'>,
): void {
  const peer = peers.pick([])
  if (peer === undefined) {
    refuse(socket, 503, 'WEFT-503 no connection to a broker\n')
    return
  }
  const asked = headOf(request)
  const head = { ...asked, fields: [...asked.fields, ['upgrade', PROTOCOL] as const] }
  let hasHead = false
  let isOver = false
  let hasEnded = false
  const call = new HttpClientCall(peer, head, undefined, {
    onHead(answer) {
      hasHead = true
      socket.write(renderHead(answer))
    },
    onBody: (bytes) => socket.write(bytes),
    onEnd() {
      isOver = true
      finish(socket)
    },
    onWritable: () => void socket.resume(),
    onFailure(code, message) {
      isOver = true
      if (hasHead) socket.destroy()
      else {
        const { status, body } = answerOfError(code, message)
        refuse(socket, status, body)
      }
    },
  })
  const send = (bytes: Buffer) => {
    if (!call.write(bytes)) socket.pause()
  }
  if (early.length > 0) send(early)
  socket.on('data', send)
  socket.on('drain', () => call.resume())
  const end = () => {
    if (!hasEnded) call.end([])
    hasEnded = true
  }
  socket.once('end', end)
  socket.on('error', () => {})
  socket.once('close', () => {
    if (!isOver) call.abort()
    else end()
  })
}

function renderHead({ status, fields }: HttpResponseEntry): string {
  const lines = endToEnd(fields)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')
  const more =
    status === 101 ? `connection: Upgrade\r\nupgrade: ${PROTOCOL}\r\n` : 'connection: close\r\n'
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines}${more}\r\n`
}

function refuse(socket: Duplex, status: number, body: string): void {
  const length = String(Buffer.byteLength(body))
  const fields = [
    ['content-type', 'text/plain; charset=utf-8'],
    ['content-length', length],
  ] as const
  socket.end(renderHead({ status, fields }) + body)
}

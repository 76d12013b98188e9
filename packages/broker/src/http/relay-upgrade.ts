/** The application's end of a WebSocket that came over RSocket, see `upgrade.ts`. */
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type HttpServerCall, RSOCKET_ERROR } from '@weft/wire'
import { forwardedFields } from './fields.ts'

/** What the client may say before anybody has agreed. */
const MAX_EARLY_BYTES = 65_536

/** A WebSocket is over when one side has ended; what was written before still goes. */
export function finish(socket: Duplex): void {
  socket.end(() => socket.destroy())
}

/**
 * @param request With the fields that ask for it, not ended yet.
 * @param onEnd The application has nothing to do with it any more.
 */
export function relayUpgrade(
  request: ClientRequest,
  call: HttpServerCall,
  onEnd: (() => void) | undefined,
): void {
  /** What the client says before it knows whether anybody agrees. */
  const early: Uint8Array[] = []
  let earlyBytes = 0
  let far: Duplex | IncomingMessage | undefined
  let socket: Duplex | undefined
  let hasEnded = false
  let isOver = false
  const fail = (code: number, message: string) => {
    if (isOver) return
    isOver = true
    call.fail(code, message)
  }
  const relay = (from: Duplex | IncomingMessage) => {
    far = from
    from.on('data', (chunk: Buffer) => {
      if (!call.write(chunk)) from.pause()
    })
    from.once('end', () => {
      isOver = true
      call.end([])
    })
    from.on('error', () => {})
    from.once('close', () => {
      onEnd?.()
      fail(RSOCKET_ERROR.canceled, 'WEFT-502 the application cut the connection')
    })
  }
  request.once('upgrade', (response, opened, first) => {
    socket = opened
    call.open({ status: 101, fields: forwardedFields(response.rawHeaders) })
    relay(opened)
    opened.on('drain', () => call.resume())
    if (first.length > 0) opened.unshift(first)
    for (const bytes of early.splice(0)) opened.write(bytes)
    if (hasEnded) finish(opened)
    else call.resume()
  })
  request.once('response', (response) => {
    const status = response.statusCode ?? 502
    call.open({ status, fields: forwardedFields(response.rawHeaders) })
    relay(response)
  })
  request.once('error', (error: NodeJS.ErrnoException) => {
    if (far !== undefined) return
    onEnd?.()
    const isAbsent = error.code === 'ECONNREFUSED' || error.code === 'ENOENT'
    const code = isAbsent ? RSOCKET_ERROR.rejected : RSOCKET_ERROR.canceled
    fail(code, `WEFT-${isAbsent ? 503 : 502} the application: ${error.code ?? error.message}`)
  })
  call.receive({
    onBody(bytes) {
      if (socket !== undefined) return socket.write(bytes)
      early.push(bytes.slice())
      earlyBytes += bytes.length
      return earlyBytes < MAX_EARLY_BYTES
    },
    onEnd() {
      hasEnded = true
      if (socket !== undefined) finish(socket)
    },
    onWritable: () => void far?.resume(),
    onAbort() {
      isOver = true
      request.destroy()
      far?.destroy()
    },
  })
  request.end()
}

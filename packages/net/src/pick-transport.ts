/**
 * Chooses the transport at start: the handle transport if it passes a self-test
 * on this very Node, else public `node:net`, and says which and why.
 */
import { createHandleTransport } from './handle-transport.ts'
import { createNodeTransport } from './node-transport.ts'
import type { Listening, Socket, SocketHandler, Transport } from './transport.ts'

export interface PickedTransport {
  readonly transport: Transport
  /** Why it is not the handle transport; `undefined` when it is. For `/server_info` and a metric. */
  readonly fallbackReason: string | undefined
}

/** More than a socket's send buffer takes at once, so that the pending path is tested too. */
const TEST_BYTES = 8_388_608
const TEST_TIMEOUT_MS = 2_000

export async function pickTransport(
  create: () => Transport = createHandleTransport,
): Promise<PickedTransport> {
  try {
    const transport = create()
    await selfTest(transport)
    return { transport, fallbackReason: undefined }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { transport: createNodeTransport(), fallbackReason: reason }
  }
}

/**
 * Sends more than the kernel takes at once through a loopback connection and
 * back, then ends it from one side: connect, accept, shared reads, pending
 * writes, end of stream, close.
 */
async function selfTest(transport: Transport): Promise<void> {
  let listening: Listening | undefined
  let client: Socket | undefined
  let timer: NodeJS.Timeout | undefined
  try {
    listening = await transport.listen({ address: { host: '127.0.0.1', port: 0 } }, swallow)
    const { address } = listening
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error('Cannot finish in time')), TEST_TIMEOUT_MS)
      let left = TEST_BYTES
      client = transport.connect(address, {
        onOpen() {
          client?.write(Buffer.alloc(TEST_BYTES, 7))
          client?.end()
        },
        onData(bytes, length) {
          left -= bytes[0] === 7 && bytes[length - 1] === 7 ? length : Number.NaN
        },
        onEnd() {
          client?.close()
        },
        onDrain() {},
        onClose(error) {
          if (left === 0 && error === undefined) resolve()
          else
            reject(error ?? new Error(`Cannot read back what was sent: ${left} bytes are missing`))
        },
      })
    })
  } finally {
    clearTimeout(timer)
    client?.close()
    await listening?.close()
  }
}

/** The far side: swallows everything, then sends as much back. */
function swallow(socket: Socket): SocketHandler {
  return {
    onOpen() {},
    onData() {},
    onEnd() {
      socket.write(Buffer.alloc(TEST_BYTES, 7))
      socket.end()
    },
    onDrain() {},
    onClose() {},
  }
}

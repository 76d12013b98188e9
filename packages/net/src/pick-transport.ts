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

/** More than a socket's send buffer takes at once, so that the pending path is tested too; every start pays for it. */
const TEST_BYTES = 4_194_304
const QUESTION = Buffer.from('well?')
const FIRST = 7
const LAST = 9
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
 * Asks through a loopback connection for more than the kernel takes at once, then
 * ends it from one side: connect, accept, shared reads, pending writes, end of
 * stream, close.
 */
async function selfTest(transport: Transport): Promise<void> {
  let listening: Listening | undefined
  let client: Socket | undefined
  let timer: NodeJS.Timeout | undefined
  try {
    listening = await transport.listen({ address: { host: '127.0.0.1', port: 0 } }, answer)
    const { address } = listening
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error('Cannot finish in time')), TEST_TIMEOUT_MS)
      let left = TEST_BYTES
      client = transport.connect(address, {
        onOpen() {
          client?.write(QUESTION)
          client?.end()
        },
        onData(bytes, length) {
          if (left === TEST_BYTES && bytes[0] !== FIRST) left = Number.NaN
          left -= length
          if (left === 0 && bytes[length - 1] !== LAST) left = Number.NaN
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

/** The far side: hears a question out, then answers at length. */
function answer(socket: Socket): SocketHandler {
  let heard = false
  return {
    onOpen() {},
    onData(bytes, length) {
      heard = length === QUESTION.length && QUESTION.equals(bytes.subarray(0, length))
    },
    onEnd() {
      // Not filled: pages that nobody touches cost nothing.
      const bytes = Buffer.alloc(TEST_BYTES)
      if (heard) bytes[0] = FIRST
      bytes[TEST_BYTES - 1] = LAST
      socket.write(bytes)
      socket.end()
    },
    onDrain() {},
    onClose() {},
  }
}

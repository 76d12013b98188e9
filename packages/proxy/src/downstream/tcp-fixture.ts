/** Ends of connections over memory, and a TCP proxy between them; for tests only. */
import type { Socket, SocketHandler } from '@weft/net'
import type { ConnectionRecord, TcpRuntime } from '../exchange/contract.ts'
import type { UpstreamCluster } from '../upstream/cluster.ts'

/** One end of a connection, as text. */
export class End implements SocketHandler {
  text = ''
  bytes = 0
  ended = false
  closed = false

  /** Whichever way it came. */
  get isOver(): boolean {
    return this.ended || this.closed
  }

  onOpen() {}

  onData(bytes: Uint8Array, length: number) {
    this.bytes += length
    this.text += Buffer.from(bytes.subarray(0, length)).toString('latin1')
  }

  onEnd() {
    this.ended = true
  }

  onDrain() {}

  onClose() {
    this.closed = true
  }
}

/** Another turn of the loop, many times: whatever can happen without time passing has happened. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 60; i++) await new Promise(setImmediate)
}

export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}

/** Everything goes to `cluster`. */
export function tcpRuntime(
  cluster: UpstreamCluster,
  records: ConnectionRecord[],
  changes: Partial<TcpRuntime> = {},
): TcpRuntime {
  const { name } = cluster.model
  return {
    kind: 'tcp',
    listener: 'test',
    direction: 'outbound',
    proxy: {
      kind: 'tcp',
      statPrefix: name,
      targets: [{ cluster: name, weight: 1 }],
      idleTimeoutMs: 0,
      accessLogs: [],
    },
    clusters: new Map([[name, cluster]]),
    observer: { onExchangeEnd() {}, onConnectionEnd: (record) => void records.push(record) },
    ...changes,
  }
}

/** An application that takes every connection: what it is sent, and by which sockets. */
export class TakingApp {
  readonly end = new End()
  readonly accepted: Socket[] = []

  readonly take = (socket: Socket): SocketHandler => {
    this.accepted.push(socket)
    return this.end
  }
}

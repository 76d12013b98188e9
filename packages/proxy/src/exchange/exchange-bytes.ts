/** How much of the memory a request holds, and how it is made to let go of it. */
import type { Holding } from '../overload/heaviest.ts'
import type { Exchange } from './exchange.ts'

/** @param waitingBytes For the client, that it has not taken yet, and what else its side keeps. */
export function exchangeBytes(exchange: Exchange, waitingBytes: number): Holding {
  const { headBytes, responseBytes, held, connection } = exchange
  const own = headBytes.length + responseBytes.length + held.bytes.length
  return {
    bytes: own + waitingBytes + (connection?.waitingBytes ?? 0),
    cut() {
      exchange.mustClose = true
      exchange.fail('overload', 'memory is nearly gone, and this request held much of it')
    },
  }
}

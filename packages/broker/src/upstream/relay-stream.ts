/** A stream of one connection goes on as a stream of another, item by item, credit by credit. */
import {
  isRequesterOpen,
  type RSocketPayload,
  type RSocketPeer,
  type RSocketStream,
} from '@weft/wire'

/** @param from What was asked of us; `payload` came with it. @param to Who is asked in our place. */
export function relayStream(from: RSocketStream, payload: RSocketPayload, to: RSocketPeer): void {
  const { interaction } = from
  const isCounted = interaction === 'stream' || interaction === 'channel'
  const asked = to.request(
    interaction,
    payload,
    {
      onItem: (item, complete) => from.next(item, complete),
      onComplete: () => from.complete(),
      onError: (code, message) => from.fail(code, message),
      onRequestN: (n) => from.requestN(n),
      onCancel: () => from.cancel(),
    },
    {
      ...(isCounted ? { initialN: Math.max(1, from.credit) } : {}),
      complete: interaction === 'channel' && !isRequesterOpen(from.state),
    },
  )
  from.handler = {
    onItem: (item, complete) => asked.next(item, complete),
    onComplete: () => asked.complete(),
    onError: () => asked.cancel(),
    onRequestN: (n) => asked.requestN(n),
    onCancel: () => asked.cancel(),
  }
}

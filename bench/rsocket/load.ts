/**
 * Load for one piece of work, as a process: `PORT SECONDS CONNECTIONS IN_FLIGHT KIND`. Prints how
 * many requests (or items) came to their end. When a broker is at the port it dials responders,
 * too; else somebody behind the port answers.
 */
import type { RSocketPeer, RSocketStreamHandler } from '@weft/wire'
import { dial, routed } from './endpoint.ts'

const [port = 0, seconds = 1, connections = 1, inFlight = 1] = process.argv.slice(2, 6).map(Number)
const kind = process.argv[6] ?? 'rr'
const isCoalescing = kind !== 'rr'
const SERVICE = 'bench.Echo'
const request = routed(`${SERVICE}.call`)
/** Items that a stream asks for at a time. */
const ITEMS = 256

let done = 0
let stopping = false
const failed = (code: number, message: string): never => {
  throw new Error(`Cannot measure: a request failed with ${code.toString(16)} ${message}`)
}

function askAgain(peer: RSocketPeer): void {
  if (stopping) return
  const handler: RSocketStreamHandler = {
    onItem() {
      done++
      askAgain(peer)
    },
    onComplete() {},
    onError: failed,
    onRequestN() {},
    onCancel() {},
  }
  peer.request('rr', request, handler)
}

function stream(peer: RSocketPeer): void {
  let since = 0
  const open = peer.request(
    'stream',
    request,
    {
      onItem() {
        done++
        if (++since < ITEMS / 2) return
        open.requestN(since)
        since = 0
      },
      onComplete() {},
      onError: failed,
      onRequestN() {},
      onCancel() {},
    },
    { initialN: ITEMS },
  )
}

/** What answers `weft.broker.hello` with JSON is a broker. */
function isBroker(peer: RSocketPeer): Promise<boolean> {
  return new Promise((resolve) => {
    peer.request('rr', routed('weft.broker.hello'), {
      onItem: ({ data }) => resolve(data[0] === 0x7b),
      onComplete() {},
      onError: failed,
      onRequestN() {},
      onCancel() {},
    })
  })
}

const probe = await dial(port, false, undefined)
if (await isBroker(probe)) {
  for (let i = 0; i < connections; i++) await isBroker(await dial(port, isCoalescing, SERVICE))
}
const peers: RSocketPeer[] = []
for (let i = 0; i < connections; i++) peers.push(await dial(port, isCoalescing, undefined))
for (const peer of peers) {
  for (let i = 0; i < inFlight; i++) {
    if (kind === 'stream') stream(peer)
    else askAgain(peer)
  }
}
await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
stopping = true
console.log(done)
process.exit(0)

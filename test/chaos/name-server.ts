/** A name server on loopback that answers as a test says: well, late, wrongly or not at all. */
import { createSocket, type RemoteInfo } from 'node:dgram'
import { once } from 'node:events'

/** The port that resolvers ask; only root may have it. */
const PORT = 53
const TYPE_A = 1
const RESPONSE = 0x8180

export type NameAnswer =
  | { readonly kind: 'addresses'; readonly addresses: readonly string[]; readonly delayMs?: number }
  /** RFC 1035, section 4.1.1: 2 SERVFAIL, 3 NXDOMAIN. */
  | { readonly kind: 'error'; readonly code: number }
  | { readonly kind: 'silent' }

export interface NameServer extends AsyncDisposable {
  answer: NameAnswer
  /** Questions for addresses so far. */
  readonly asked: number
}

/** @returns `undefined` when the address cannot be bound. */
export async function openNameServer(host: string): Promise<NameServer | undefined> {
  const socket = createSocket('udp4')
  let asked = 0
  const server: NameServer = {
    answer: { kind: 'silent' },
    get asked() {
      return asked
    },
    async [Symbol.asyncDispose]() {
      socket.close()
      await once(socket, 'close')
    },
  }
  socket.on('message', (question: Buffer, from: RemoteInfo) => {
    const { answer } = server
    const end = questionEnd(question)
    const isForA = question.readUInt16BE(end - 4) === TYPE_A
    if (isForA) asked++
    if (answer.kind === 'silent') return
    const bytes = answerTo(question.subarray(0, end), isForA, answer)
    const send = () => socket.send(bytes, from.port, from.address)
    const delayMs = answer.kind === 'addresses' ? (answer.delayMs ?? 0) : 0
    if (delayMs === 0) send()
    else setTimeout(send, delayMs).unref()
  })
  const bound = once(socket, 'listening').then(
    () => true,
    () => false,
  )
  socket.bind(PORT, host)
  return (await bound) ? server : undefined
}

/** Behind name, type and class of the one question. */
function questionEnd(message: Buffer): number {
  let at = 12
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) at += length + 1
  return at + 5
}

function answerTo(
  question: Buffer,
  isForA: boolean,
  answer: Exclude<NameAnswer, { kind: 'silent' }>,
): Buffer {
  const addresses = answer.kind === 'addresses' && isForA ? answer.addresses : []
  const head = Buffer.from(question)
  head.writeUInt16BE(RESPONSE | (answer.kind === 'error' ? answer.code : 0), 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(addresses.length, 6)
  head.writeUInt32BE(0, 8)
  // The name of the question, A, IN, one second, four bytes.
  const record = Buffer.from('c00c00010001000000010004', 'hex')
  const records = addresses.map((one) =>
    Buffer.concat([record, Buffer.from(one.split('.').map(Number))]),
  )
  return Buffer.concat([head, ...records])
}

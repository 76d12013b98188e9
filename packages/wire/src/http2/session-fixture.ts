/** Two ends for tests: what a handler was told, as lines of text; and a pipe between two sessions. */
import { MessageHead } from '../http1/message-head.ts'
import type { HeadTarget, Http2Handler, Http2Options } from './contract.ts'
import { Http2Session } from './session.ts'
import type { Http2Stream } from './stream.ts'

class Target implements HeadTarget {
  readonly head = new MessageHead()
  headBytes = Buffer.alloc(16)
  headLength = 0
}

export class Recorder implements Http2Handler {
  readonly log: string[] = []
  readonly streams = new Map<number, Http2Stream>()
  readonly targets = new Map<number, Target>()
  session: Http2Session | undefined
  /** Bodies, joined: how they were cut is not told. */
  readonly bodies = new Map<number, string>()
  consume = true

  onOutput(): void {}
  headTarget(stream: Http2Stream): HeadTarget {
    const target = new Target()
    this.streams.set(stream.id, stream)
    this.targets.set(stream.id, target)
    return target
  }
  text(id: number): string {
    const target = this.targets.get(id)
    return target?.headBytes.toString('latin1', 0, target.headLength) ?? ''
  }
  onHeaders({ id }: Http2Stream, ends: boolean): void {
    this.log.push(`headers ${id}${ends ? ' end' : ''} ${JSON.stringify(this.text(id))}`)
  }
  onInterim({ id }: Http2Stream): void {
    this.log.push(`interim ${id} ${JSON.stringify(this.text(id))}`)
  }
  onRefused({ id }: Http2Stream, problem: number): void {
    this.log.push(`refused ${id} ${problem}`)
  }
  onData(stream: Http2Stream, bytes: Buffer, from: number, to: number, ends: boolean): void {
    const { id } = stream
    this.bodies.set(id, (this.bodies.get(id) ?? '') + bytes.toString('latin1', from, to))
    if (this.consume) this.session?.consumed(stream, to - from)
    if (ends) this.log.push(`end ${id} ${this.bodies.get(id)}`)
  }
  onTrailers({ id }: Http2Stream, { headBytes, headLength }: HeadTarget): void {
    this.log.push(`trailers ${id} ${JSON.stringify(headBytes.toString('latin1', 0, headLength))}`)
  }
  onReset({ id }: Http2Stream, code: number, byPeer: boolean): void {
    this.log.push(`reset ${id} ${code}${byPeer ? ' by peer' : ''}`)
  }
  onWritable({ id }: Http2Stream): void {
    this.log.push(`writable ${id}`)
  }
  onGoaway(lastId: number, code: number): void {
    this.log.push(`goaway ${lastId} ${code}`)
  }
  onSettings(): void {}
  onPingAck(): void {
    this.log.push('ping ack')
  }
  onStreamClosed({ id }: Http2Stream): void {
    this.log.push(`closed ${id}`)
  }
  onSessionError(code: number, why: string): void {
    this.log.push(`error ${code} ${why}`)
  }
}

export interface End {
  readonly session: Http2Session
  readonly told: Recorder
}

export function newEnd(role: 'server' | 'client', options: Partial<Http2Options> = {}): End {
  const told = new Recorder()
  const session = new Http2Session(told, { role, now: () => 0, ...options })
  told.session = session
  session.start()
  return { session, told }
}

/** What waits in `out`, taken. */
export function taken({ session }: End): Buffer {
  const bytes = Buffer.from(session.out.bytes.subarray(0, session.out.length))
  session.out.clear()
  session.drained()
  return bytes
}

/** Carries bytes to and fro until neither side has any. */
export function settle(a: End, b: End): void {
  for (let turns = 0; a.session.out.length + b.session.out.length > 0; turns++) {
    if (turns > 10_000) throw new Error('Cannot settle: the two sides never stop talking')
    const there = taken(a)
    b.session.receive(there, there.length)
    const back = taken(b)
    a.session.receive(back, back.length)
  }
}

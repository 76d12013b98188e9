/** What was sent last, to be sent again; never more than so many bytes. */
export class FrameRing {
  /** Bytes that may be held. */
  readonly #maxBytes: number
  /** With their length prefix. */
  readonly #frames: Buffer[] = []
  /** Where the first held frame begins, and where the last one ends. */
  #first = 0
  #last = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#last - this.#first
  }

  /** All that was ever sent. */
  get position(): number {
    return this.#last
  }

  /**
   * @param frame With prefix; kept.
   * @param mayForget Old frames may go to make room: there is hope that they have arrived.
   */
  push(frame: Buffer, mayForget: boolean): void {
    this.#frames.push(frame)
    this.#last += frame.length - PREFIX
    if (!mayForget) return
    while (this.bytes > this.#maxBytes) this.#shift()
  }

  #shift(): void {
    this.#first += (this.#frames.shift()?.length ?? PREFIX) - PREFIX
  }

  /** The peer has everything up to `position`. False, and nothing done: no held frame begins or ends there. */
  dropTo(position: number): boolean {
    let at = this.#first
    let count = 0
    for (; at < position && count < this.#frames.length; count++) {
      at += (this.#frames[count]?.length ?? PREFIX) - PREFIX
    }
    if (at !== position) return false
    this.#frames.splice(0, count)
    this.#first = at
    return true
  }

  /** Whether everything behind `position` is held. */
  has(position: number): boolean {
    return position >= this.#first && position <= this.#last
  }

  /** Everything that is held, as bytes to send. */
  all(): Buffer {
    return Buffer.concat(this.#frames)
  }
}

const PREFIX = 3

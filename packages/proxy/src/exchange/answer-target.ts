/** Where an HTTP/2 upstream's heads are laid out: where an HTTP/1.1 upstream's lie, too. */
import type { HeadTarget, MessageHead } from '@weft/wire'
import type { Exchange } from './exchange.ts'

export class AnswerTarget implements HeadTarget {
  readonly #x: Exchange

  constructor(x: Exchange) {
    this.#x = x
  }

  get head(): MessageHead {
    return this.#x.response
  }

  get headBytes(): Buffer {
    return this.#x.responseBytes
  }

  set headBytes(bytes: Buffer) {
    this.#x.responseBytes = bytes
  }

  get headLength(): number {
    return this.#x.responseLength
  }

  set headLength(length: number) {
    this.#x.responseLength = length
  }
}

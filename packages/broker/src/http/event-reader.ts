/** Server-sent events out of bytes (WHATWG HTML, section 9.2.6): the data of each, as an item. */

const LINE = /\r\n|\n|\r/

export class EventReader {
  readonly #maxBytes: number
  readonly #decoder = new TextDecoder()
  #rest = ''
  #data: string[] = []
  #bytes = 0

  /** @param maxBytes Of one event. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Events that are whole now; undefined: one is too long. */
  read(chunk: Uint8Array): Buffer[] | undefined {
    const found: Buffer[] = []
    let text = this.#rest + this.#decoder.decode(chunk, { stream: true })
    // What follows a carriage return may be its line feed.
    const held = text.endsWith('\r') ? '\r' : ''
    text = text.slice(0, text.length - held.length)
    const lines = text.split(LINE)
    this.#rest = (lines.pop() ?? '') + held
    for (const line of lines) this.#take(line, found)
    return this.#bytes + this.#rest.length > this.#maxBytes ? undefined : found
  }

  #take(line: string, found: Buffer[]): void {
    if (line === '') {
      if (this.#data.length > 0) found.push(Buffer.from(this.#data.join('\n')))
      this.#data = []
      this.#bytes = 0
      return
    }
    const colon = line.indexOf(':')
    const name = colon < 0 ? line : line.slice(0, colon)
    if (name !== 'data') return
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    this.#data.push(value)
    this.#bytes += value.length
  }
}

/**
 * What the codecs use of Node's `Buffer`, for browsers: esbuild puts it in `Buffer`'s place. A
 * Uint8Array with a few functions more, and nothing else of `Buffer`.
 */
const encoder = new TextEncoder()
const decoder = new TextDecoder()

function latin1(text) {
  return Uint8Array.from(text, (character) => character.charCodeAt(0) & 0xff)
}

function hex(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

const ENCODERS = { utf8: (text) => encoder.encode(text), latin1, hex }

export class Buffer extends Uint8Array {
  static from(value, encodingOrOffset = 'utf8', length = undefined) {
    if (typeof value === 'string') return asBuffer(ENCODERS[encodingOrOffset](value))
    if (value instanceof ArrayBuffer) {
      const offset = typeof encodingOrOffset === 'number' ? encodingOrOffset : 0
      return new Buffer(value, offset, length)
    }
    return new Buffer(value)
  }

  static alloc(size) {
    return new Buffer(size)
  }

  static allocUnsafe(size) {
    return new Buffer(size)
  }

  static allocUnsafeSlow(size) {
    return new Buffer(size)
  }

  static concat(parts) {
    const whole = new Buffer(parts.reduce((sum, { length }) => sum + length, 0))
    let at = 0
    for (const part of parts) {
      whole.set(part, at)
      at += part.length
    }
    return whole
  }

  toString(encoding = 'utf8') {
    if (encoding === 'utf8') return decoder.decode(this)
    if (encoding === 'hex')
      return Array.from(this, (one) => one.toString(16).padStart(2, '0')).join('')
    return Array.from(this, (one) => String.fromCharCode(one)).join('')
  }

  get #view() {
    return new DataView(this.buffer, this.byteOffset, this.byteLength)
  }

  writeUInt8(value, at) {
    this[at] = value
  }

  writeUInt16BE(value, at) {
    this.#view.setUint16(at, value)
  }

  writeBigUInt64BE(value, at) {
    this.#view.setBigUint64(at, value)
  }
}

function asBuffer(bytes) {
  return new Buffer(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

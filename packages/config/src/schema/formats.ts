/** Texts with an inner form that a schema can name. Each check says what must hold, or nothing. */

import { goDurationMs } from './go-duration.ts'

export type FormatName = keyof typeof FORMATS

/** What is wrong with the text, ready to follow the field's name, or `undefined`. */
export function checkFormat(format: FormatName, text: string): string | undefined {
  return FORMATS[format](text)
}

const FORMATS = {
  duration(text: string): string | undefined {
    const ms = goDurationMs(text)
    if (ms === undefined) {
      const hint = /^\d+(\.\d+)?$/.test(text) ? `, write "${text}s" if seconds are meant` : ''
      return `must be a duration such as "1.5s", "200ms" or "1h30m"${hint}`
    }
    return ms < 0 ? 'must not be negative' : undefined
  },
  base64(text: string): string | undefined {
    const packed = text.replaceAll(/[\r\n]/g, '')
    const isRight = packed.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(packed)
    return isRight ? undefined : 'must be base64 with padding'
  },
} as const satisfies Record<string, (text: string) => string | undefined>

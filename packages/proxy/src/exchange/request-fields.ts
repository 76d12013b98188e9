/** All lines of a request's fields, one by one: joined ones would hide what stands between (R53). */
import { SPAN } from '@weft/wire'
import type { Exchange } from './exchange.ts'

/** Values of every line of a field by its lower-case name, as filters left them. */
export function fieldLines(x: Exchange, name: string): readonly string[] {
  return x.filtered.changes?.lines(name) ?? sentLines(x, name)
}

/** As the client sent them. */
export function sentLines({ head, headBytes }: Exchange, name: string): readonly string[] {
  const values: string[] = []
  for (let i = 0; i < head.count; i++) {
    if (nameOf(head.spans, headBytes, i) === name) values.push(head.valueOf(headBytes, 0, i))
  }
  return values
}

/** Lower-case names that the request has, each once. */
export function fieldNames(x: Exchange): readonly string[] {
  const { head, headBytes } = x
  const { changes } = x.filtered
  const names = new Set<string>()
  for (let i = 0; i < head.count; i++) names.add(nameOf(head.spans, headBytes, i))
  for (const name of changes?.names ?? []) {
    if (changes?.lines(name)?.length === 0) names.delete(name)
    else names.add(name)
  }
  return [...names]
}

function nameOf(spans: Int32Array, bytes: Buffer, index: number): string {
  const at = index * SPAN
  return bytes.toString('latin1', spans[at] as number, spans[at + 1] as number).toLowerCase()
}

/** The pseudo-fields of a request head that lies as text of HTTP/1.1. */
import type { PseudoFields } from './contract.ts'

/** Host's value and Upgrade's, in lower-case names or not. */
const HOST = /^host:[ \t]*([^\r]*?)[ \t]*\r$/im
const UPGRADE = /^upgrade:[ \t]*([^\r]*?)[ \t]*\r$/im
const CONNECTION_UPGRADE = /^connection:[^\r]*\bupgrade\b[^\r]*\r$/im

export function readRequestText(
  scheme: string,
  bytes: Buffer,
  from: number,
  to: number,
): { readonly pseudo: PseudoFields; readonly linesFrom: number } {
  const lineEnd = bytes.indexOf(0x0a, from)
  const [method = '', target = ''] = bytes.toString('latin1', from, lineEnd).split(' ')
  const lines = bytes.toString('latin1', lineEnd + 1, to)
  const connect = method === 'CONNECT'
  const authority = connect ? target : (HOST.exec(lines)?.[1] ?? '')
  const upgrade = CONNECTION_UPGRADE.test(lines) ? UPGRADE.exec(lines)?.[1] : undefined
  return {
    pseudo: { method, path: connect ? '' : target, authority, scheme, protocol: upgrade },
    linesFrom: lineEnd + 1,
  }
}

/** Whether a call is let in, for people. Pure. */
import type { Call } from '../simulate/call.ts'
import type { Style } from '../terminal/style.ts'
import type { AccessAnswer } from './authorize-call.ts'

export function renderAccess(
  name: string,
  call: Call,
  { authorization, mtls, port }: AccessAnswer,
  style: Style,
): string {
  const { decision, policy, rule, kind, because, origin, status, details, notes } = authorization
  const verdict = {
    allow: style.green('allowed'),
    deny: style.red('denied'),
    custom: style.yellow('asked'),
  }[decision]
  const what = call.protocol === 'tcp' ? 'connection' : `${call.method} ${call.path}`
  const who = call.source?.principal ?? 'a caller without identity'
  const rows: (readonly [string, string | null])[] = [
    ['by', policy === null ? null : `${kind} ${policy}${rule === null ? '' : ` rule ${rule}`}`],
    ['where', origin],
    ['because', because],
    ['answer', status === null ? null : String(status)],
    ['access log', details],
    ['mutual TLS', mtls.because],
    ...notes.map((note) => ['note', note] as const),
  ]
  const lines = rows.flatMap(([label, text]) =>
    text === null ? [] : [`  ${style.dim(label.padEnd(11))} ${text}\n`],
  )
  return `${verdict}  ${what} to ${name}:${port} from ${who}\n${lines.join('')}`
}

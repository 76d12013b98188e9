/** Why a guard refused a request: for the access log, never for the client. */
import type { ExchangeFacts } from '../exchange/exchange-facts.ts'

/** `%DYNAMIC_METADATA(weft.authorization:denied_because)%`. */
export const DENIAL_NOTE = 'weft.authorization'
const KEY = 'denied_because'

export function noteDenial(facts: ExchangeFacts, because: string): void {
  facts.addMetadata(DENIAL_NOTE, { [KEY]: because })
}

export function denialIn(note: Readonly<Record<string, unknown>> | undefined): string | undefined {
  const because = note?.[KEY]
  return typeof because === 'string' ? because : undefined
}

/** Of a connection, in one text: what Envoy calls it, and why. */
export function connectionDenialText(details: string, because: string): string {
  return `${details}: ${because}`
}

export function connectionDenialIn(
  text: string,
): { readonly details: string; readonly because: string } | undefined {
  const end = text.indexOf(': ')
  if (end === -1 || !text.startsWith('rbac_access_denied')) return undefined
  return { details: text.slice(0, end), because: text.slice(end + 2) }
}

/** What the authorization service is asked, and what it says, whatever it speaks. */
import type { ExternalAuthorization, HeaderValue } from '@weft/model'
import type { FilterMetadata } from '../../exchange/exchange-facts.ts'
import type { FilterCall, FilterScope } from '../http-filter.ts'

export interface Asking {
  readonly authorization: ExternalAuthorization
  readonly scope: FilterScope
  readonly call: FilterCall
  readonly context: Readonly<Record<string, string>>
  /** Whether the service sees a field; absent: nobody says. */
  readonly shown: ((name: string) => boolean) | undefined
  readonly hidden: (name: string) => boolean
}

export type Decision =
  | {
      readonly kind: 'allow'
      /** Changes to the request. */
      readonly set: readonly HeaderValue[]
      readonly append: readonly HeaderValue[]
      readonly addIfAbsent: readonly HeaderValue[]
      readonly remove: readonly string[]
      readonly path?: string
      /** For the client's answer. */
      readonly responseHeaders: readonly HeaderValue[]
      readonly metadata: FilterMetadata | undefined
    }
  | {
      readonly kind: 'deny'
      readonly status: number
      readonly headers: readonly HeaderValue[]
      readonly body: string
      readonly metadata: FilterMetadata | undefined
    }
  /** It did not answer, or not so that it could be understood. */
  | { readonly kind: 'error' }
  | { readonly kind: 'tooLarge' }
  | { readonly kind: 'slowBody' }

export const DENIED = 403

/** Joined values of the fields that the service may see. */
export function shownFields(
  { call, hidden }: Asking,
  isShown: (name: string) => boolean,
): Readonly<Record<string, string>> {
  const names = call.fieldNames().filter((name) => isShown(name) && !hidden(name))
  return Object.fromEntries(names.map((name) => [name, call.fieldLines(name).join(',')]))
}

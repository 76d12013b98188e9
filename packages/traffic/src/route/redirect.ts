/** Where a redirect sends the client. */
import type { RequestView } from '@weft/model'
import type { CompiledRedirect } from './compiled.ts'

/** The `location` header's value: an absolute URL. */
export function redirectLocation(_action: CompiledRedirect, _request: RequestView): string {
  return ''
}

/** VirtualServices with their short names resolved against the namespace they are written in. */
import type { DocumentOf } from '@weft/config'

export interface BoundVirtualService {
  readonly document: DocumentOf<'VirtualService'>
  /** Fully qualified where they name services. */
  readonly hosts: readonly string[]
  /** `mesh` or `<namespace>/<name>`. */
  readonly gateways: readonly string[]
}

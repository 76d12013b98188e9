import type { XdsNode } from '@weft/xds'
import type { ProxyView } from './proxy-view.ts'

/** What a node says of itself when it connects, as the view that translation wants. */
export function proxyViewOf(_node: XdsNode): ProxyView {
  throw new Error('Cannot read the node: not implemented')
}

import type { ResourceSet } from '@weft/model'
import type { MeshSnapshot } from '../snapshot/mesh-snapshot.ts'
import type { ProxyView } from './proxy-view.ts'

/** Every resource of one proxy. Pure. */
export function translate(_snapshot: MeshSnapshot, _proxy: ProxyView): ResourceSet {
  throw new Error('Cannot translate: not implemented')
}

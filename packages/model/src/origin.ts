/**
 * The user's object that something came from. Every resource a data plane gets
 * can say which lines somebody wrote made it so; on the wire it travels in
 * `metadata.filter_metadata["weft"]`.
 */
export interface Origin {
  /** Kubernetes kind, e.g. `VirtualService`. */
  readonly kind: string
  readonly namespace: string
  readonly name: string
  /** Path inside the object, e.g. `spec.http[0]`; absent when the whole object is meant. */
  readonly path?: string
  /** File as the source named it; absent for objects that no file holds. */
  readonly file?: string
  /** Line in that file, from 1. */
  readonly line?: number
}

/** `VirtualService default/reviews spec.http[0] (reviews.yaml:12)`. */
export function renderOrigin(origin: Origin): string {
  const where = origin.file === undefined ? '' : ` (${origin.file}${renderLine(origin.line)})`
  const path = origin.path === undefined ? '' : ` ${origin.path}`
  return `${origin.kind} ${origin.namespace}/${origin.name}${path}${where}`
}

function renderLine(line: number | undefined): string {
  return line === undefined ? '' : `:${line}`
}

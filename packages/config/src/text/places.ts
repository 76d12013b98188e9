/**
 * Where in a text the parts of a value stand. A tree beside the value, a few
 * numbers per node, so that a document can be kept without its syntax tree.
 */

export interface Place {
  /** Offset of the value in the text. */
  readonly at: number
  /** Offset of the key, for entries of a map. */
  readonly keyAt?: number
  /** Present for maps and lists; a list's keys are its indexes as text. */
  readonly children?: ReadonlyMap<string, Place>
}

/** From 1 both. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** Turns offsets of one text into lines and columns. */
export class LineIndex {
  readonly #starts: readonly number[]

  constructor(text: string) {
    const starts = [0]
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1))
      starts.push(at + 1)
    this.#starts = starts
  }

  positionOf(offset: number): Position {
    let low = 0
    let high = this.#starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.#starts[middle] ?? 0) <= offset) low = middle
      else high = middle - 1
    }
    return { line: low + 1, column: offset - (this.#starts[low] ?? 0) + 1 }
  }
}

/**
 * The place of a path, or of the nearest parent that was written. For a missing
 * field that is the object it is missing from.
 */
export function findPlace(root: Place, path: string): { place: Place; isExact: boolean } {
  let place = root
  for (const segment of pathSegments(path)) {
    const child = place.children?.get(segment)
    if (child === undefined) return { place, isExact: false }
    place = child
  }
  return { place, isExact: true }
}

/** Scalars are found at their value, maps and lists at their key. */
export function offsetOf(place: Place): number {
  return place.children === undefined ? place.at : (place.keyAt ?? place.at)
}

const PLAIN_KEY = /^[A-Za-z_][A-Za-z0-9_-]*$/

/** `spec.http` + `match` → `spec.http.match`; keys that are no identifier go in brackets and quotes. */
export function childPath(path: string, key: string): string {
  if (!PLAIN_KEY.test(key)) return `${path}[${JSON.stringify(key)}]`
  return path === '' ? key : `${path}.${key}`
}

export function itemPath(path: string, index: number): string {
  return `${path}[${index}]`
}

const SEGMENT = /\.?([A-Za-z_][A-Za-z0-9_-]*)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]/gy

/** The inverse of `childPath` and `itemPath`. What is not a path ends the list. */
export function pathSegments(path: string): readonly string[] {
  const segments: string[] = []
  SEGMENT.lastIndex = 0
  while (SEGMENT.lastIndex < path.length) {
    const match = SEGMENT.exec(path)
    if (match === null) break
    segments.push(match[1] ?? match[2] ?? (JSON.parse(match[3] ?? '""') as string))
  }
  return segments
}

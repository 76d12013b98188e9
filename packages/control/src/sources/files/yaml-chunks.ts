/**
 * A YAML text as its documents' texts, so that one of several objects can be
 * replaced or removed without touching the others, comments included.
 */

export interface Chunk {
  readonly text: string
  /** Of the first line, in the whole text, from 1. */
  readonly firstLine: number
  readonly lastLine: number
}

const SEPARATOR = /^---(\s|$)/

/** Never empty; the separators themselves are left out. */
export function splitChunks(text: string): readonly Chunk[] {
  const chunks: Chunk[] = []
  let lines: string[] = []
  let firstLine = 1
  const all = text.split('\n')
  const end = (lastLine: number) => {
    chunks.push({ text: lines.join('\n'), firstLine, lastLine })
    lines = []
    firstLine = lastLine + 2
  }
  for (const [i, line] of all.entries()) {
    if (!SEPARATOR.test(line)) {
      lines.push(line)
      continue
    }
    end(i)
    // `--- {kind: …}` begins the next document on the separator's own line.
    const rest = line.slice(3).trim()
    if (rest !== '' && !rest.startsWith('#')) {
      lines.push(rest)
      firstLine = i + 1
    }
  }
  end(all.length)
  return chunks
}

export function joinChunks(texts: readonly string[]): string {
  const trimmed = texts.map((text) => text.replace(/^\n+|\s+$/g, '')).filter((text) => text !== '')
  return trimmed.length === 0 ? '' : `${trimmed.join('\n---\n')}\n`
}

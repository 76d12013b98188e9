/**
 * JSON that two readers cannot take for different things: no name twice in an object (which of
 * the two counts is every parser's own choice), and no depth that costs a stack.
 */

const QUOTE = 0x22
const BACKSLASH = 0x5c

export interface StrictJsonLimits {
  /** Objects and lists inside one another; 1 or more. */
  readonly maxDepth: number
}

/**
 * @throws {SyntaxError} When the text is no JSON, a name comes twice, or it is too deep.
 */
export function parseStrictJson(text: string, { maxDepth }: StrictJsonLimits): unknown {
  // The depth is looked at first: `JSON.parse` itself must not run out of stack.
  checkStructure(text, maxDepth)
  return JSON.parse(text)
}

/**
 * Looks at names and nesting only; of text that is no JSON it may say anything, `JSON.parse` will
 * refuse it.
 */
function checkStructure(text: string, maxDepth: number): void {
  /** Names seen in every open object; `undefined` for a list. */
  const open: (Set<string> | undefined)[] = []
  for (let at = 0; at < text.length; at++) {
    const char = text[at]
    if (char === '{' || char === '[') {
      if (open.length === maxDepth) throw new SyntaxError(`deeper than ${maxDepth}`)
      open.push(char === '{' ? new Set() : undefined)
    } else if (char === '}' || char === ']') open.pop()
    else if (char === '"') {
      const end = endOfString(text, at)
      if (isName(text, end)) noteName(open.at(-1), text.slice(at, end))
      at = end - 1
    }
  }
}

function noteName(names: Set<string> | undefined, quoted: string): void {
  // Two spellings, with and without escapes, are one name.
  const name = JSON.parse(quoted) as string
  if (names?.has(name)) throw new SyntaxError(`the name ${quoted} comes twice`)
  names?.add(name)
}

/** Just past the closing quote. */
function endOfString(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === BACKSLASH) at++
    else if (code === QUOTE) return at + 1
  }
  throw new SyntaxError('a string does not end')
}

function isName(text: string, from: number): boolean {
  for (let at = from; at < text.length; at++) {
    const char = text[at] as string
    if (char === ':') return true
    if (!' \t\r\n'.includes(char)) return false
  }
  return false
}

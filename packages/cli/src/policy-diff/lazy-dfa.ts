/**
 * Text patterns as automata (Thompson's construction, subsets on demand). They take the part of RE2
 * that translation writes: literals, escapes, `.`, classes, groups, `|`, `?`, `*`, `+`; always for
 * the whole text.
 */

interface Edge {
  readonly to: number
  test(char: string): boolean
}

interface Fragment {
  readonly from: number
  readonly to: number
}

export class UnknownPattern extends Error {
  override readonly name = 'UnknownPattern'
}

export class LazyDfa {
  /** Characters that the pattern tells from others. */
  readonly chars = new Set<string>()
  readonly #silent: number[][] = []
  readonly #edges: Edge[][] = []
  readonly #final: number
  readonly #sets: (readonly number[])[] = []
  readonly #ids = new Map<string, number>()
  readonly #steps = new Map<string, number>()
  readonly start: number

  /** @throws {UnknownPattern} When it has what this does not take. */
  constructor(pattern: string) {
    const { from, to } = new PatternReader(pattern, this).read()
    this.#final = to
    this.start = this.#idOf(this.#reach([from]))
  }

  step(state: number, char: string): number {
    const key = `${state} ${char}`
    const known = this.#steps.get(key)
    if (known !== undefined) return known
    const next = (this.#sets[state] ?? []).flatMap((one) =>
      (this.#edges[one] ?? []).flatMap((edge) => (edge.test(char) ? [edge.to] : [])),
    )
    const id = this.#idOf(this.#reach(next))
    this.#steps.set(key, id)
    return id
  }

  accepts(state: number): boolean {
    return this.#sets[state]?.includes(this.#final) === true
  }

  /** Nothing that follows is accepted. */
  isDead(state: number): boolean {
    return this.#sets[state]?.length === 0
  }

  /** For the reader: a new state. */
  add(): number {
    this.#silent.push([])
    this.#edges.push([])
    return this.#silent.length - 1
  }

  link(from: number, to: number): void {
    this.#silent[from]?.push(to)
  }

  edge(from: number, to: number, test: (char: string) => boolean): void {
    this.#edges[from]?.push({ to, test })
  }

  #reach(from: readonly number[]): readonly number[] {
    const seen = new Set(from)
    const open = [...from]
    for (let one = open.pop(); one !== undefined; one = open.pop()) {
      for (const next of this.#silent[one] ?? []) {
        if (seen.has(next)) continue
        seen.add(next)
        open.push(next)
      }
    }
    return [...seen].sort((a, b) => a - b)
  }

  #idOf(set: readonly number[]): number {
    const key = set.join()
    const known = this.#ids.get(key)
    if (known !== undefined) return known
    this.#ids.set(key, this.#sets.length)
    return this.#sets.push(set) - 1
  }
}

class PatternReader {
  readonly #text: string
  readonly #dfa: LazyDfa
  #at = 0

  constructor(text: string, dfa: LazyDfa) {
    this.#text = text
    this.#dfa = dfa
  }

  read(): Fragment {
    const whole = this.#choice()
    if (this.#at < this.#text.length) throw this.#unknown()
    return whole
  }

  #unknown(): UnknownPattern {
    return new UnknownPattern(`Cannot compare pattern "${this.#text}" at ${this.#at}`)
  }

  #choice(): Fragment {
    const from = this.#dfa.add()
    const to = this.#dfa.add()
    do {
      const one = this.#sequence()
      this.#dfa.link(from, one.from)
      this.#dfa.link(one.to, to)
    } while (this.#take('|'))
    return { from, to }
  }

  #sequence(): Fragment {
    const from = this.#dfa.add()
    let to = from
    while (this.#at < this.#text.length && !'|)'.includes(this.#text[this.#at] ?? '')) {
      const one = this.#repeated()
      this.#dfa.link(to, one.from)
      to = one.to
    }
    return { from, to }
  }

  #repeated(): Fragment {
    let one = this.#atom()
    for (;;) {
      const mayMiss = this.#text[this.#at] === '?' || this.#text[this.#at] === '*'
      const mayRepeat = this.#text[this.#at] === '+' || this.#text[this.#at] === '*'
      if (!mayMiss && !mayRepeat) return one
      this.#at++
      const from = this.#dfa.add()
      const to = this.#dfa.add()
      this.#dfa.link(from, one.from)
      this.#dfa.link(one.to, to)
      if (mayMiss) this.#dfa.link(from, to)
      if (mayRepeat) this.#dfa.link(one.to, one.from)
      one = { from, to }
    }
  }

  #atom(): Fragment {
    if (this.#take('(')) {
      this.#take('?:')
      const inner = this.#choice()
      if (!this.#take(')')) throw this.#unknown()
      return inner
    }
    const from = this.#dfa.add()
    const to = this.#dfa.add()
    this.#dfa.edge(from, to, this.#charTest())
    return { from, to }
  }

  #charTest(): (char: string) => boolean {
    const char = this.#text[this.#at++] ?? ''
    if (char === '.') return () => true
    if (char === '[') return this.#class()
    if ('?*+{}^$'.includes(char)) throw this.#unknown()
    const literal = char === '\\' ? this.#escaped() : char
    this.#dfa.chars.add(literal)
    return (other) => other === literal
  }

  #escaped(): string {
    const char = this.#text[this.#at++] ?? ''
    if (/[a-zA-Z0-9]/.test(char) || char === '') throw this.#unknown()
    return char
  }

  #class(): (char: string) => boolean {
    const isNot = this.#take('^')
    const single = new Set<string>()
    const ranges: [string, string][] = []
    while (!this.#take(']')) {
      const raw = this.#text[this.#at++]
      if (raw === undefined) throw this.#unknown()
      const first = raw === '\\' ? this.#escaped() : raw
      const isRange = this.#text[this.#at] === '-' && this.#text[this.#at + 1] !== ']'
      if (!isRange) {
        single.add(first)
        this.#dfa.chars.add(first)
        continue
      }
      this.#at++
      ranges.push([first, this.#text[this.#at++] ?? ''])
    }
    const isIn = (char: string) =>
      single.has(char) || ranges.some(([low, high]) => char >= low && char <= high)
    return (char) => isIn(char) !== isNot
  }

  #take(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false
    this.#at += text.length
    return true
  }
}

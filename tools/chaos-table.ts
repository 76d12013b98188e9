/** Reads the output of the fault suite as it comes and sums it up: row, figures, pass. */

interface Row {
  readonly name: string
  readonly figures: string
  readonly passes: boolean
}

/** A test says its figures in a line of this kind, before its own end. */
const FIGURES = /^▪ ([^:]+): (.*)$/
const END = /^([✔✖]) (.*?) \([\d.]+ms\)/

export class ChaosTable {
  readonly #rows: Row[] = []
  readonly #known = new Set<string>()
  #waiting: { readonly name: string; readonly figures: string }[] = []
  #rest = ''

  take(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#line(line)
  }

  /** Markdown; empty when there was no test. */
  render(): string {
    if (this.#rows.length === 0) return ''
    const rows = this.#rows.map(
      ({ name, figures, passes }) => `| ${name} | ${figures} | ${passes ? 'yes' : 'NO'} |`,
    )
    return ['| row | figures | pass |', '|---|---|---|', ...rows, ''].join('\n')
  }

  #line(line: string): void {
    const [, name, figures] = FIGURES.exec(line) ?? []
    if (name !== undefined && figures !== undefined) {
      this.#waiting.push({ name, figures: figures.replaceAll('|', '\\|') })
      return
    }
    const [, mark, test] = END.exec(line) ?? []
    // What failed is told twice.
    if (test === undefined || this.#known.has(test)) return
    this.#known.add(test)
    const passes = mark === '✔'
    if (this.#waiting.length === 0) this.#waiting.push({ name: test, figures: '–' })
    for (const row of this.#waiting) this.#rows.push({ ...row, passes })
    this.#waiting = []
  }
}

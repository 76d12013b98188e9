/** Reads the Prometheus text format, as far as counters and histograms need it. */

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+\d+)?$/
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g

/** @param only Names to read; other lines are skipped before anything is allocated for them. */
export function parsePrometheusText(text: string, only: ReadonlySet<string>): readonly Sample[] {
  const samples: Sample[] = []
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#') || !only.has(nameOf(line))) continue
    const found = SAMPLE.exec(line)
    if (found === null) continue
    const [, name = '', labels = '', value = ''] = found
    samples.push({ name, labels: parseLabels(labels), value: parseValue(value) })
  }
  return samples
}

function nameOf(line: string): string {
  const end = line.search(/[{\s]/)
  return end < 0 ? line : line.slice(0, end)
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {}
  for (const [, name = '', value = ''] of text.matchAll(LABEL)) {
    labels[name] = value.replace(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped))
  }
  return labels
}

function parseValue(text: string): number {
  if (text === '+Inf') return Number.POSITIVE_INFINITY
  if (text === '-Inf') return Number.NEGATIVE_INFINITY
  return Number(text)
}

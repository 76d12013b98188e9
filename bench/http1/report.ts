/** Medians and the table of a run. Pure. */

export interface Sample {
  readonly cpuUs: number
  readonly userUs: number
  readonly systemUs: number
  readonly perSecond: number
}

export interface Summary extends Sample {
  readonly minCpuUs: number
  readonly maxCpuUs: number
}

export interface Result extends Summary {
  readonly name: string
  readonly accessLog: boolean
  readonly anonMb: number
  readonly rssMb: number
  latency?: { readonly rate: number; readonly p50Us: number; readonly p99Us: number }
}

export function summarize(samples: readonly Sample[]): Summary {
  const column = (pick: (sample: Sample) => number) => samples.map(pick).sort((a, b) => a - b)
  const median = (pick: (sample: Sample) => number) =>
    column(pick)[Math.floor(samples.length / 2)] ?? Number.NaN
  const cpu = column(({ cpuUs }) => cpuUs)
  return {
    cpuUs: median(({ cpuUs }) => cpuUs),
    userUs: median(({ userUs }) => userUs),
    systemUs: median(({ systemUs }) => systemUs),
    perSecond: median(({ perSecond }) => perSecond),
    minCpuUs: cpu[0] ?? Number.NaN,
    maxCpuUs: cpu.at(-1) ?? Number.NaN,
  }
}

/** A Markdown table, so that a run can be pasted where it is quoted. */
export function renderTable(machine: string, rounds: number, results: readonly Result[]): string {
  const rows = results.map((result) => {
    const ratio = (peer: string) => {
      const other = results.find(
        (each) => each.name === peer && each.accessLog === result.accessLog,
      )
      return other === undefined ? '–' : (result.cpuUs / other.cpuUs).toFixed(2)
    }
    const { latency } = result
    return [
      result.name,
      result.accessLog ? 'on' : 'off',
      `${result.cpuUs.toFixed(1)} [${result.minCpuUs.toFixed(1)}–${result.maxCpuUs.toFixed(1)}]`,
      `${result.userUs.toFixed(1)} / ${result.systemUs.toFixed(1)}`,
      ratio('haproxy'),
      ratio('nginx'),
      ratio('envoy'),
      Math.round(result.perSecond).toLocaleString('en'),
      latency === undefined
        ? '–'
        : `${latency.p50Us} / ${latency.p99Us} @ ${latency.rate.toLocaleString('en')}`,
      `${result.anonMb.toFixed(0)} / ${result.rssMb.toFixed(0)}`,
    ]
  })
  const head = [
    'proxy',
    'log',
    'CPU µs/request [min–max]',
    'user / sys',
    '× HAProxy',
    '× nginx',
    '× Envoy',
    'requests/s',
    'p50 / p99 µs @ rate',
    'RssAnon / RSS MB',
  ]
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [
    `${machine}; median of ${rounds} interleaved rounds, 64 keep-alive connections, one thread each`,
    '',
    line(head),
    line(head.map(() => '---')),
    ...rows.map(line),
  ].join('\n')
}

/** Medians of a contest and the table that shows them. Pure. */
import { type Sample, type Summary, summarize } from '../http1/report.ts'

export interface Outcome extends Summary {
  readonly work: string
  readonly name: string
  readonly anonMb: number
  readonly rssMb: number
}

interface Facts {
  readonly machine: string
  readonly scenario: string
  readonly unit: string
  readonly rounds: number
}

export const summarizeRuns: (samples: readonly Sample[]) => Summary = summarize

const PEERS = ['haproxy', 'nginx', 'envoy'] as const

/** A Markdown table, so that a run can be pasted where it is quoted. */
export function renderOutcomes(facts: Facts, outcomes: readonly Outcome[]): string {
  const peers = PEERS.filter((peer) => outcomes.some(({ name }) => name === peer))
  const head = [
    'work',
    'proxy',
    `CPU µs/${facts.unit} [min–max]`,
    'user / sys',
    ...peers.map((peer) => `× ${peer}`),
    `${facts.unit}s/s`,
    'RssAnon / RSS MB',
  ]
  const rows = outcomes.map((outcome) => [
    outcome.work,
    outcome.name,
    `${outcome.cpuUs.toFixed(1)} [${outcome.minCpuUs.toFixed(1)}–${outcome.maxCpuUs.toFixed(1)}]`,
    `${outcome.userUs.toFixed(1)} / ${outcome.systemUs.toFixed(1)}`,
    ...peers.map((peer) => {
      const other = outcomes.find(({ name, work }) => name === peer && work === outcome.work)
      return other === undefined ? '–' : (outcome.cpuUs / other.cpuUs).toFixed(2)
    }),
    Math.round(outcome.perSecond).toLocaleString('en'),
    `${outcome.anonMb.toFixed(0)} / ${outcome.rssMb.toFixed(0)}`,
  ])
  return [
    `${facts.machine}; ${facts.scenario}: median of ${facts.rounds} interleaved rounds, one thread each`,
    '',
    ...markdownTable(head, rows),
  ].join('\n')
}

export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)]
}

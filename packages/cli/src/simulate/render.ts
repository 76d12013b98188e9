/** A simulation for people. Pure. */
import type { Style } from '../terminal/style.ts'
import type { Call } from './call.ts'
import type { Authorization, SimulationResult } from './result.ts'

export function renderSimulation(call: Call, result: SimulationResult, style: Style): string {
  const rows: [string, string | null][] = [
    ['listener', result.listener],
    ['virtual host', result.virtualHost],
    ['route', result.route],
    ['cluster', renderClusters(result)],
    ['rewritten', result.rewritten === null ? null : JSON.stringify(result.rewritten)],
    ['mirrored to', result.mirrors.map((one) => `${one.cluster} (${one.percent} %)`).join(', ')],
    ['fault', result.fault === null ? null : JSON.stringify(result.fault)],
    ['timeout', result.timeoutMs === null ? null : `${result.timeoutMs} ms`],
    ['redirect', result.redirect && `${result.redirect.status} ${result.redirect.location}`],
    [
      'answer',
      result.directResponse && `${result.directResponse.status} ${result.directResponse.body}`,
    ],
    ['mutual TLS', result.mtls?.because ?? null],
    ['access', result.authorization && renderDecision(result.authorization, style)],
    ['error', result.error && style.red(result.error)],
  ]
  const lines = rows
    .filter(([, value]) => value !== null && value !== '')
    .map(([name, value]) => `  ${name.padEnd(13)}${value}\n`)
  const why = result.because.map((fact) => `  ${style.dim('·')} ${fact}\n`)
  return `${style.bold(renderCall(call))}\n${lines.join('')}${style.dim('because')}\n${why.join('')}`
}

function renderDecision({ decision, policy, status }: Authorization, style: Style): string {
  const by = policy === null ? '' : ` by ${policy}`
  const told = status === null ? '' : ` (${status})`
  if (decision === 'allow') return style.green(`allowed${by}`)
  if (decision === 'deny') return style.red(`denied${by}${told}`)
  return style.yellow(`asked${by}`)
}

function renderCall(call: Call): string {
  const where = `${call.address}:${call.port}`
  if (call.protocol === 'tcp') return `tcp ${where}${call.sni === '' ? '' : ` (SNI ${call.sni})`}`
  return `${call.method} ${call.tls === 'plaintext' ? 'http' : 'https'}://${call.host || where}${call.path}`
}

function renderClusters(result: SimulationResult): string | null {
  if (result.clusters.length < 2) return result.cluster
  return result.clusters.map(({ cluster, weight }) => `${cluster} (${weight})`).join(', ')
}

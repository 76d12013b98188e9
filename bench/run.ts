/**
 * Runs benchmark scenarios, one after the other. Each compares contenders inside one run, because
 * only ratios of one run mean anything on a shared machine.
 *
 *     npm run bench -- SCENARIO… [options]
 *     npm run bench -- all [options]
 */

interface Scenario {
  readonly summary: string
  /** Options of others that mean nothing here: left out, so that one call can run all. */
  readonly lacks?: readonly string[]
  readonly load: () => Promise<{ run(args: string[]): Promise<number> }>
}

const NO_LOAD = ['seconds', 'works', 'keep']
const FLAGS: ReadonlySet<string> = new Set(['keep', 'no-log', 'no-latency', 'json', 'help'])
const OF_HTTP1 = ['no-log', 'no-latency']

const scenarios: Readonly<Record<string, Scenario>> = {
  http1: {
    summary: 'CPU per request, requests/s and p99 of a sidecar beside HAProxy, nginx and Envoy',
    lacks: ['works'],
    load: () => import('./http1/run.ts'),
  },
  body: {
    summary: 'bodies of 100 B to 1 MB, down and up',
    load: () => import('./body/run.ts'),
  },
  ca: {
    summary: 'certificates per second, p99, and what a killed control plane loses',
    load: () => import('./ca/run.ts'),
  },
  connections: {
    summary: 'memory per idle connection: plain, TLS, HTTP/2, WebSocket',
    lacks: [...NO_LOAD, ...OF_HTTP1],
    load: () => import('./connections/run.ts'),
  },
  grpc: {
    summary: 'unary gRPC calls, HTTP/2 on both sides',
    load: () => import('./grpc/run.ts'),
  },
  http2: {
    summary: 'requests of HTTP/2 clients to HTTP/1.1',
    load: () => import('./http2/run.ts'),
  },
  pair: {
    summary: 'two sidecars with mTLS HTTP/2 between them, beside two Envoys',
    load: () => import('./pair/run.ts'),
  },
  rsocket: {
    summary: 'requests and streams through the broker, beside a TCP pipe',
    load: () => import('./rsocket/run.ts'),
  },
  'rsocket-idle': {
    summary: 'memory per idle connection of the broker: plain, TLS',
    lacks: [...NO_LOAD, ...OF_HTTP1, 'only'],
    load: () => import('./rsocket/idle.ts'),
  },
  'rsocket-stalled': {
    summary: 'memory of the broker, and the rate of others, while consumers read nothing',
    lacks: ['works', 'keep', 'only', ...OF_HTTP1],
    load: () => import('./rsocket/stalled.ts'),
  },
  startup: {
    summary: 'time to the first answer, memory when idle',
    lacks: [...NO_LOAD, ...OF_HTTP1],
    load: () => import('./startup/run.ts'),
  },
  tcp: {
    summary: 'byte streams that nobody looks into',
    load: () => import('./tcp/run.ts'),
  },
  tls: {
    summary: 'requests over TLS, full handshakes with client certificates',
    load: () => import('./tls/run.ts'),
  },
  websocket: {
    summary: 'messages over WebSockets, echoed',
    load: () => import('./websocket/run.ts'),
  },
  xds: {
    summary: 'one endpoint change to thousands of connected proxies: CPU, convergence, memory',
    lacks: [...NO_LOAD, ...OF_HTTP1, 'only'],
    load: () => import('./xds/run.ts'),
  },
}

const argv = process.argv.slice(2)
const optionsFrom = argv.findIndex((argument) => argument.startsWith('-'))
const named = optionsFrom < 0 ? argv : argv.slice(0, optionsFrom)
const options = argv.slice(named.length)
const names = named.includes('all') ? Object.keys(scenarios) : named
const unknown = names.filter((name) => scenarios[name] === undefined)
if (names.length === 0 || unknown.length > 0) {
  const known = Object.entries(scenarios).map(
    ([key, { summary }]) => `  ${key.padEnd(15)} ${summary}`,
  )
  console.log(`Usage: npm run bench -- SCENARIO…|all [options]\n\n${known.join('\n')}\n`)
  console.log('Every scenario takes --help and --json.')
  for (const name of unknown) {
    console.error(`\nCannot run '${name}': no such scenario`)
    process.exitCode = 2
  }
} else {
  for (const name of names) {
    process.exitCode = Math.max(Number(process.exitCode ?? 0), await runOne(name))
  }
}

/** One that fails does not keep the others from being run. */
async function runOne(name: string): Promise<number> {
  const { lacks = OF_HTTP1, load } = scenarios[name] ?? {}
  const scenario = await load?.()
  if (scenario === undefined) return 0
  if (names.length === 1) return scenario.run(options)
  try {
    return await scenario.run(without(lacks))
  } catch (error) {
    console.error(`${name}: ${error instanceof Error ? error.message : String(error)}`)
    return 1
  }
}

/** The options but those called `lacks`, with their values. */
function without(lacks: readonly string[]): string[] {
  const kept: string[] = []
  for (let i = 0; i < options.length; i++) {
    const option = options[i] ?? ''
    const [name = ''] = option.replace(/^--/, '').split('=', 1)
    if (!lacks.includes(name)) kept.push(option)
    else if (!FLAGS.has(name) && !option.includes('=')) i++
  }
  return kept
}

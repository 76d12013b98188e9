/**
 * Runs one benchmark scenario. Each compares contenders inside one run, because
 * only ratios of one run mean anything on a shared machine.
 *
 *     npm run bench -- SCENARIO [options]
 */

interface Scenario {
  readonly summary: string
  readonly load: () => Promise<{ run(args: string[]): Promise<number> }>
}

const scenarios: Readonly<Record<string, Scenario>> = {
  http1: {
    summary: 'CPU per request, requests/s and p99 of a sidecar beside HAProxy, nginx and Envoy',
    load: () => import('./http1/run.ts'),
  },
  body: {
    summary: 'bodies of 100 B to 1 MB, down and up',
    load: () => import('./body/run.ts'),
  },
  pair: {
    summary: 'two sidecars with mTLS HTTP/2 between them, beside two Envoys',
    load: () => import('./pair/run.ts'),
  },
  startup: {
    summary: 'time to the first answer, memory when idle',
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
  xds: {
    summary: 'one endpoint change to thousands of connected proxies: CPU, convergence, memory',
    load: () => import('./xds/run.ts'),
  },
}

const [name = '--help', ...args] = process.argv.slice(2)
const scenario = scenarios[name]
if (scenario === undefined) {
  const known = Object.entries(scenarios).map(
    ([key, { summary }]) => `  ${key.padEnd(12)} ${summary}`,
  )
  console.log(`Usage: npm run bench -- SCENARIO [options]\n\n${known.join('\n')}\n`)
  console.log('Every scenario takes --help and --json.')
  if (name !== '--help' && name !== '-h') {
    console.error(`\nCannot run '${name}': no such scenario`)
    process.exitCode = 2
  }
} else {
  process.exitCode = await (await scenario.load()).run(args)
}

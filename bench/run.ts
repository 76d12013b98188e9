/**
 * Runs benchmark scenarios, one after the other. Each compares contenders inside one run, because
 * only ratios of one run mean anything on a shared machine.
 *
 *     npm run bench -- SCENARIO… [options]
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
  connections: {
    summary: 'memory per idle connection: plain, TLS, HTTP/2, WebSocket',
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
  websocket: {
    summary: 'messages over WebSockets, echoed',
    load: () => import('./websocket/run.ts'),
  },
  xds: {
    summary: 'one endpoint change to thousands of connected proxies: CPU, convergence, memory',
    load: () => import('./xds/run.ts'),
  },
}

const argv = process.argv.slice(2)
const optionsFrom = argv.findIndex((argument) => argument.startsWith('-'))
const names = optionsFrom < 0 ? argv : argv.slice(0, optionsFrom)
const options = argv.slice(names.length)
const unknown = names.filter((name) => scenarios[name] === undefined)
if (names.length === 0 || unknown.length > 0) {
  const known = Object.entries(scenarios).map(
    ([key, { summary }]) => `  ${key.padEnd(12)} ${summary}`,
  )
  console.log(`Usage: npm run bench -- SCENARIO… [options]\n\n${known.join('\n')}\n`)
  console.log('Every scenario takes --help and --json.')
  for (const name of unknown) {
    console.error(`\nCannot run '${name}': no such scenario`)
    process.exitCode = 2
  }
} else {
  for (const name of names) {
    const scenario = await scenarios[name]?.load()
    process.exitCode = Math.max(Number(process.exitCode ?? 0), (await scenario?.run(options)) ?? 0)
  }
}

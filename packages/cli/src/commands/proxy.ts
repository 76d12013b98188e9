import { hostname } from 'node:os'
import type { Arguments } from '../arguments.ts'
import { type Command, UsageError } from '../command.ts'
import { LOOPBACK, parseAddress, parsePortMap } from '../run/addresses.ts'
import { parseConcurrency } from '../run/concurrency.ts'
import { PROBE_OPTIONS, probePortOf } from '../run/probe-port.ts'
import { openLogs } from '../run/process-logs.ts'
import {
  configSourceOf,
  identityOptionsOf,
  instanceOf,
  offersOf,
  transportOf,
  WORKLOAD_OPTIONS,
  workloadOf,
} from '../run/sidecar-options.ts'

const ROLES = ['sidecar', 'gateway'] as const
const DEFAULT_OUTBOUND = '127.0.0.1:15001'
const DEFAULT_PROXY_ADMIN = '127.0.0.1:15000'

export const proxy: Command = {
  name: 'proxy',
  group: 'run a mesh',
  summary: 'run a proxy: a sidecar for one workload, or a gateway',
  synopsis: '[upgrade] [--role sidecar|gateway] [options]',
  description: [
    'A sidecar takes the HTTP_PROXY traffic of an application and the calls to the ports it offers',
    '(`weft run` starts one together with its application). A gateway serves the Gateway objects whose',
    'selector matches its labels; without --label it has istio=ingressgateway.',
    '`weft proxy upgrade` (or SIGUSR2, or POST /upgrade on the admin port) replaces the process that has',
    'the admin port by one of the program on disk: sockets are handed over, no request is lost, tunnels',
    'go on in the old process until they end. --concurrency then changes the number of workers.',
    'With more than one worker the process itself carries no traffic: it has the sockets, the control',
    'plane and the admin port, and replaces a worker that dies.',
  ].join('\n'),
  options: {
    role: {
      kind: 'value',
      short: 'r',
      placeholder: 'ROLE',
      describe: 'sidecar or gateway (sidecar)',
      choices: ROLES,
    },
    ...WORKLOAD_OPTIONS,
    ...PROBE_OPTIONS,
    outbound: {
      kind: 'value',
      placeholder: 'HOST:PORT',
      describe: `HTTP proxy for the application (${DEFAULT_OUTBOUND})`,
    },
    admin: {
      kind: 'value',
      placeholder: 'HOST:PORT',
      describe: `admin port (${DEFAULT_PROXY_ADMIN})`,
    },
    'admin-token-file': {
      kind: 'value',
      placeholder: 'FILE',
      describe: 'who may change something on the admin port; needed where others reach it',
    },
    bind: {
      kind: 'value',
      placeholder: 'IP',
      describe: 'address that a gateway binds to (0.0.0.0)',
    },
    concurrency: {
      kind: 'value',
      short: 'c',
      placeholder: 'N',
      describe: 'worker processes; 0 or auto: one per core (gateway: auto, sidecar: 1)',
    },
    'memory-limit': {
      kind: 'value',
      placeholder: 'SIZE',
      describe: 'memory of all its processes, e.g. 256MiB: near it the proxy takes less (cgroup)',
    },
    overload: {
      kind: 'value',
      placeholder: 'FILE',
      describe: "file with Envoy's overload_manager, alone or in a bootstrap (built in)",
    },
    map: {
      kind: 'list',
      placeholder: 'PORT=PORT',
      describe: 'gateway: port that is bound in place of one that a Gateway names, e.g. 80=8080',
    },
  },
  operands: { min: 0, max: 1, choices: ['upgrade'] },
  exits: { 3: 'upgrade: no proxy answers on the admin port' },
  examples: [
    'weft proxy --role gateway --bind 127.0.0.1 --map 80=8080',
    'weft proxy --service reviews --port 9080 --app-port 3000',
    'weft proxy upgrade --admin 127.0.0.1:15000',
  ],

  async run(args, terminal) {
    const admin = parseAddress('admin', args.value('admin') ?? DEFAULT_PROXY_ADMIN)
    const isJson = args.flag('json')
    const workers = args.value('concurrency')
    const tokenFile = args.value('admin-token-file')
    const { readTokenFile } = await import('../run/proxy-token.ts')
    const token =
      tokenFile === undefined ? {} : { adminToken: await readTokenFile(tokenFile, terminal) }
    if (args.operands[0] === 'upgrade') {
      const { upgradeProxy } = await import('../run/upgrade-proxy.ts')
      const concurrency = workers === undefined ? undefined : parseConcurrency(workers)
      return upgradeProxy({ admin, concurrency, isJson, ...token }, terminal)
    }
    const role = (args.value('role') ?? 'sidecar') as (typeof ROLES)[number]
    if (role === 'gateway' && args.value('service') !== undefined) {
      throw new UsageError('--service belongs to a sidecar; a gateway offers what Gateways name')
    }
    const named = workloadOf(args, role === 'gateway' ? 'istio-ingressgateway' : machineName())
    const isPlainGateway = role === 'gateway' && args.list('label').length === 0
    const labels = { ...named.labels, istio: 'ingressgateway' }
    const workload = isPlainGateway ? { ...named, labels } : named
    const bind = args.value('bind')
    const accessLog = args.value('access-log')
    const transport = transportOf(args)
    const identity = identityOptionsOf(args, workload, terminal)
    const { overloadOf } = await import('../run/overload.ts')
    const { offers, shown } = servedBy(args, role)
    const options = {
      role,
      workload,
      instance: instanceOf(workload, terminal.random),
      address: args.value('address') ?? LOOPBACK,
      source: configSourceOf(args, workload, terminal),
      ...(identity === undefined ? {} : { identity }),
      ...(role === 'gateway'
        ? { portMap: parsePortMap('map', args.pairs('map')) }
        : {
            outbound: parseAddress('outbound', args.value('outbound') ?? DEFAULT_OUTBOUND),
            offers,
          }),
      ...(bind === undefined ? {} : { bindHost: bind }),
      admin,
      ...(accessLog === undefined ? {} : { accessLog }),
      keyHosts: args.list('key-host'),
      overload: overloadOf(args),
      ...(transport === undefined ? {} : { transport }),
    }
    const { runProxy } = await import('../run/run-proxy.ts')
    const concurrency = parseConcurrency(workers ?? (role === 'gateway' ? 'auto' : '1'))
    const more = { isJson, concurrency, ...shown, ...token }
    return runProxy(options, more, terminal, openLogs(args, terminal))
  },
}

/** What the proxy stands before, and the port where that is asked how it is. */
function servedBy(args: Arguments, role: (typeof ROLES)[number]) {
  const offers = role === 'gateway' ? [] : offersOf(args, args.port('app-port'))
  const probe = probePortOf(args, offers[0])
  return { offers, shown: probe === undefined ? {} : { probe } }
}

function machineName(): string {
  const name = hostname()
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
  return name === '' ? 'workload' : name.slice(0, 63)
}

import { basename } from 'node:path'
import { type Command, UsageError } from '../command.ts'
import { freePort, LOOPBACK } from '../run/addresses.ts'
import { PROBE_OPTIONS, probePortOf } from '../run/probe-port.ts'
import { openLogs } from '../run/process-logs.ts'
import {
  configSourceOf,
  identityOptionsOf,
  offersOf,
  transportOf,
  WORKLOAD_OPTIONS,
  workloadOf,
} from '../run/sidecar-options.ts'

export const run: Command = {
  name: 'run',
  group: 'run a mesh',
  summary: 'run a command as a workload of the mesh, beside its own sidecar',
  synopsis: '[--service NAME --port PORT] [--version V] [options] -- CMD…',
  description: [
    'Starts the sidecar, then CMD with HTTP_PROXY pointing to it; PORT tells CMD where to listen.',
    'Connections that CMD opens before the first configuration are held, not refused.',
    'Ends when CMD ends, with its exit code; signals are passed on.',
    '',
    'Node programs need Node 24 or newer to heed HTTP_PROXY; curl, Python and Go always do.',
  ].join('\n'),
  options: {
    ...WORKLOAD_OPTIONS,
    ...PROBE_OPTIONS,
    inbound: {
      kind: 'value',
      placeholder: 'HOST:PORT',
      describe: 'where other workloads reach this one: the sidecar listens there (a free port)',
    },
    outbound: {
      kind: 'value',
      placeholder: 'PORT',
      describe: 'port of the HTTP proxy for CMD (a free one)',
    },
    admin: {
      kind: 'value',
      placeholder: 'PORT',
      describe: 'admin port of the sidecar (a free one)',
    },
  },
  operands: { min: 0, max: 0 },
  takesCommand: true,
  exits: {
    126: 'CMD cannot be run',
    127: 'there is no such CMD',
  },
  examples: [
    'weft run --service reviews --port 9080 --version v1 -- node reviews.js',
    'weft run -- curl http://reviews:9080/reviews/0',
  ],

  async run(args, terminal) {
    const [file] = args.command
    if (file === undefined) {
      throw new UsageError('weft run needs a command after --: weft run -- node app.js')
    }
    const workload = workloadOf(args, nameFrom(file))
    const wanted = args.port('app-port') ?? args.port('port')
    const appPort = wanted === 0 ? await freePort(LOOPBACK) : wanted
    const offers = offersOf(args, appPort, args.value('inbound'))
    // Loaded here, so that a wrong command line is answered at once.
    const { runWorkload } = await import('../run/run-workload.ts')
    return runWorkload(
      {
        command: args.command,
        workload,
        offers,
        probe: probePortOf(args, offers[0]),
        source: configSourceOf(args, workload, terminal),
        identity: identityOptionsOf(args, workload, terminal),
        outboundPort: args.port('outbound') ?? 0,
        adminPort: args.port('admin') ?? 0,
        accessLog: args.value('access-log'),
        keyHosts: args.list('key-host'),
        transport: transportOf(args),
      },
      terminal,
      openLogs(args, terminal),
    )
  },
}

/** A workload name from a command, e.g. `/usr/bin/Curl` → `curl`. */
function nameFrom(file: string): string {
  const name = basename(file)
    .toLowerCase()
    .replace(/\.[a-z]+$/, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 63)
  return name === '' ? 'command' : name
}

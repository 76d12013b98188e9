import { resolve } from 'node:path'
import type { Command } from '../command.ts'
import { DEFAULT_ADMIN, DEFAULT_XDS, parseAddress } from '../run/addresses.ts'
import { LOG_LEVEL_OPTION, openLogs } from '../run/process-logs.ts'

export const up: Command = {
  name: 'up',
  group: 'run a mesh',
  summary: 'run a mesh for development: control plane, gateway and a watched folder',
  synopsis: '[DIR] [options]',
  description: [
    'Watches DIR (default: mesh, made when it is missing), serves proxies, and opens a gateway for the',
    'Gateway objects with selector istio=ingressgateway. Then start workloads with `weft run`.',
  ].join('\n'),
  options: {
    http: {
      kind: 'value',
      placeholder: 'PORT',
      describe: 'port bound for ports 80 and 8080 of gateways (8080, or a free one)',
    },
    xds: {
      kind: 'value',
      placeholder: 'HOST:PORT',
      describe: `where proxies connect (${DEFAULT_XDS})`,
    },
    admin: { kind: 'value', placeholder: 'HOST:PORT', describe: `admin API (${DEFAULT_ADMIN})` },
    'access-log': {
      kind: 'value',
      placeholder: 'FILE',
      describe: 'access log of the gateway, e.g. /dev/stdout',
    },
    'log-level': LOG_LEVEL_OPTION,
  },
  operands: { min: 0, max: 1 },
  exits: {},
  examples: ['weft up', 'weft up mesh/ --http 3000'],

  async run(args, terminal) {
    const folder = args.operands[0] ?? 'mesh'
    const accessLog = args.value('access-log')
    const options = {
      folder,
      path: resolve(terminal.cwd, folder),
      xds: parseAddress('xds', args.value('xds') ?? DEFAULT_XDS),
      admin: parseAddress('admin', args.value('admin') ?? DEFAULT_ADMIN),
      httpPort: args.port('http'),
      ...(accessLog === undefined ? {} : { accessLog }),
    }
    const { runUp } = await import('../run/run-up.ts')
    return runUp(options, { isJson: args.flag('json') }, terminal, openLogs(args, terminal))
  },
}

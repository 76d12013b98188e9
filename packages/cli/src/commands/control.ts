import { mkdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { contentHash } from '@weft/base'
import type { Command } from '../command.ts'
import { DEFAULT_XDS, parseAddress } from '../run/addresses.ts'
import { ADMIN_OPTIONS, adminOptionsOf } from '../run/admin-options.ts'
import { CA_OPTIONS, caOptionsOf } from '../run/ca-options.ts'
import { LOG_LEVEL_OPTION, openLogs } from '../run/process-logs.ts'
import { RATE_LIMIT_OPTIONS, rateLimitOptionsOf } from '../run/rate-limit-options.ts'

export const control: Command = {
  name: 'control',
  group: 'run a mesh',
  summary: 'run a control plane over watched folders of configuration',
  synopsis: '[DIR…] [options]',
  description: [
    'Watches the folders (default: mesh), serves xDS v3 to proxies and an admin API to weft.',
    'A change takes effect as soon as a file is saved. A file that is wrong is refused: the last',
    'good form stays in force and `weft status` says why.',
  ].join('\n'),
  options: {
    xds: {
      kind: 'value',
      placeholder: 'HOST:PORT',
      describe: `where proxies connect (${DEFAULT_XDS})`,
    },
    'xds-socket': {
      kind: 'value',
      placeholder: 'PATH',
      describe: 'unix socket for proxies besides',
    },
    ...ADMIN_OPTIONS,
    state: {
      kind: 'value',
      placeholder: 'DIR',
      describe: 'what survives a restart (below ~/.local/state/weft)',
    },
    ...CA_OPTIONS,
    ...RATE_LIMIT_OPTIONS,
    'log-level': LOG_LEVEL_OPTION,
  },
  operands: { min: 0, max: Number.POSITIVE_INFINITY },
  exits: {},
  examples: [
    'weft control mesh/',
    'weft control /etc/mesh --xds-tls 0.0.0.0:15012 --log-level info',
  ],

  async run(args, terminal) {
    const xds = parseAddress('xds', args.value('xds') ?? DEFAULT_XDS)
    const folders = args.operands.length === 0 ? ['mesh'] : args.operands
    const sources = folders.map((folder) => resolve(terminal.cwd, folder))
    if (args.operands.length === 0) await mkdir(sources[0] ?? '', { recursive: true })
    const stateBase = terminal.env.XDG_STATE_HOME ?? join(homedir(), '.local', 'state')
    // What belongs to other folders or another port is another mesh.
    const key = contentHash([...sources, xds.host, xds.port].join(' '))
    const socketPath = args.value('xds-socket')
    const stateDir = args.value('state') ?? join(stateBase, 'weft', `control-${key}`)
    const { runControl } = await import('../run/run-control.ts')
    return runControl(
      {
        sources,
        xds,
        stateDir,
        ...adminOptionsOf(args, terminal),
        ...(await caOptionsOf(args, terminal, resolve(terminal.cwd, stateDir))),
        ...(await rateLimitOptionsOf(args, terminal)),
        ...(socketPath === undefined ? {} : { xdsSocketPath: socketPath }),
      },
      { isJson: args.flag('json'), folders },
      terminal,
      openLogs(args, terminal),
    )
  },
}

import type { Command } from '../command.ts'
import { API_OPTIONS } from '../input/control-access.ts'
import { meshApiOf } from '../input/where-to-write.ts'
import { renderStatus } from '../inspect/status.ts'

export const status: Command = {
  name: 'status',
  group: 'look into it',
  summary: 'say of every object whether it is in force, and why not',
  synopsis: '[--all] [--control URL] [--json]',
  description: [
    'Shows what is refused or not resolved, with file and line, and which proxies have not taken what',
    'they were sent. With --all, what is well too.',
  ].join('\n'),
  options: {
    ...API_OPTIONS,
    all: { kind: 'flag', short: 'a', describe: 'show every object, not only what is wrong' },
  },
  operands: { min: 0, max: 0 },
  exits: {
    1: 'something is refused, not resolved, or rejected by a proxy',
    3: 'no control plane answers',
  },
  examples: ['weft status', 'weft status --json'],

  async run(args, terminal) {
    const mesh = await (await meshApiOf(args, terminal)).status()
    if (args.flag('json')) terminal.out(`${JSON.stringify(mesh)}\n`)
    else terminal.out(renderStatus(mesh, args.flag('all'), terminal.cwd, terminal.style))
    return mesh.ok ? 0 : 1
  },
}

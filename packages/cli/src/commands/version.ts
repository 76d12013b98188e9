import type { Command } from '../command.ts'
import { programVersion } from '../program-version.ts'

export const version: Command = {
  name: 'version',
  group: 'this tool',
  summary: 'print the version of weft and of the Node it runs on',
  synopsis: '[--json]',
  description: '',
  options: {},
  operands: { min: 0, max: 0 },
  exits: {},
  examples: ['weft version --json'],

  async run(args, terminal) {
    const versions = {
      weft: await programVersion(),
      node: process.versions.node,
      platform: `${process.platform}-${process.arch}`,
    }
    terminal.out(
      args.flag('json')
        ? `${JSON.stringify(versions)}\n`
        : `weft ${versions.weft} (node ${versions.node}, ${versions.platform})\n`,
    )
    return 0
  },
}

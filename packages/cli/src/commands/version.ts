import { readFile } from 'node:fs/promises'
import type { Command } from '../command.ts'

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
    const manifest = JSON.parse(
      await readFile(new URL('../../package.json', import.meta.url), 'utf8'),
    ) as { readonly version: string }
    const versions = {
      weft: manifest.version,
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

import { type Command, UsageError } from '../command.ts'
import { API_OPTIONS, apiTargetOf } from '../input/control-access.ts'
import { MeshApi } from '../mesh-api.ts'

export const dashboard: Command = {
  name: 'dashboard',
  group: 'look into it',
  summary: 'print a link that opens the mesh in your browser, signed in as you',
  synopsis: '[--control URL] [--json]',
  description: [
    'The link is good once and for ten minutes; the session that it begins lasts for twelve hours, or',
    'until an hour passes without use. It may do what you may, and no more.',
  ].join('\n'),
  options: API_OPTIONS,
  operands: { min: 0, max: 0 },
  exits: { 3: 'no control plane answers' },
  examples: ['weft dashboard'],

  async run(args, terminal) {
    const target = await apiTargetOf(args, terminal)
    if (target.url === undefined) {
      throw new UsageError('weft dashboard needs an address that a browser can open: --control URL')
    }
    const { path, ttlSeconds } = await new MeshApi(target).consoleLink()
    const url = new URL(path, target.url).href
    terminal.out(args.flag('json') ? `${JSON.stringify({ url, ttlSeconds })}\n` : `${url}\n`)
    return 0
  },
}

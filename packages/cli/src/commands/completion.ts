import type { Command } from '../command.ts'
import { renderCompletion, SHELLS } from '../completion/script.ts'

/** @param others Every other command; the catalog passes them, since it cannot be imported from here. */
export function completionFor(others: readonly Command[]): Command {
  const completion: Command = {
    name: 'completion',
    group: 'this tool',
    summary: 'print a completion script for your shell',
    synopsis: 'bash|zsh|fish',
    description: [
      'Load it once in a session, or from your shell start-up file:',
      '  bash   source <(weft completion bash)',
      '  zsh    source <(weft completion zsh)',
      '  fish   weft completion fish | source',
    ].join('\n'),
    options: {},
    operands: { min: 1, max: 1, choices: SHELLS },
    exits: {},
    examples: ['source <(weft completion bash)'],

    async run(args, terminal) {
      // The operands are checked: it is one of them.
      const shell = SHELLS.find((one) => one === args.operands[0]) ?? 'bash'
      const script = renderCompletion(shell, [...others, completion])
      terminal.out(args.flag('json') ? `${JSON.stringify({ script })}\n` : script)
      return 0
    },
  }
  return completion
}

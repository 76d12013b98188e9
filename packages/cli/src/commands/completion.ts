import { type Command, type Option, SHARED_OPTIONS, UsageError } from '../command.ts'

const SHELLS = ['bash', 'zsh', 'fish'] as const

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
      const script = renderCompletion(args.operands[0] ?? '', [...others, completion])
      terminal.out(args.flag('json') ? `${JSON.stringify({ script })}\n` : script)
      return 0
    },
  }
  return completion
}

/** Pure: the script for a shell from what the commands declare. */
function renderCompletion(shell: string, commands: readonly Command[]): string {
  if (shell === 'bash') return renderBash(commands)
  if (shell === 'zsh') return renderZsh(commands)
  if (shell === 'fish') return renderFish(commands)
  throw new UsageError(`Cannot complete for '${shell}': known shells are ${SHELLS.join(', ')}`)
}

function optionsOf(command: Command): Readonly<Record<string, Option>> {
  return { ...command.options, ...SHARED_OPTIONS }
}

function wordsOf(command: Command): string {
  const flags = Object.keys(optionsOf(command)).map((name) => `--${name}`)
  return [...(command.operands.choices ?? []), ...flags].join(' ')
}

function renderBash(commands: readonly Command[]): string {
  const cases = commands.map((command) => `    ${command.name}) words="${wordsOf(command)}" ;;`)
  return `_weft() {
  local word="\${COMP_WORDS[COMP_CWORD]}" words
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="${commands.map((command) => command.name).join(' ')}"
  else case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac; fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _weft weft
`
}

function renderZsh(commands: readonly Command[]): string {
  const names = commands.map((command) => `    '${command.name}:${quote(command.summary)}'`)
  const cases = commands.map((command) => `    ${command.name}) compadd -- ${wordsOf(command)} ;;`)
  return `#compdef weft
_weft() {
  local -a names
  names=(
${names.join('\n')}
  )
  if (( CURRENT == 2 )); then _describe 'command' names; return; fi
  case "\${words[2]}" in
${cases.join('\n')}
  esac
  _files
}
compdef _weft weft
`
}

function renderFish(commands: readonly Command[]): string {
  const lines = commands.flatMap((command) => [
    `complete -c weft -n __fish_use_subcommand -a ${command.name} -d '${quote(command.summary)}'`,
    ...Object.entries(optionsOf(command)).map(([name, option]) => {
      const short = option.short === undefined ? '' : ` -s ${option.short}`
      const value = option.kind === 'flag' ? '' : ' -r'
      return `complete -c weft -n '__fish_seen_subcommand_from ${command.name}' -l ${name}${short}${value} -d '${quote(option.describe)}'`
    }),
    ...(command.operands.choices ?? []).map(
      (choice) => `complete -c weft -n '__fish_seen_subcommand_from ${command.name}' -a ${choice}`,
    ),
  ])
  return `${lines.join('\n')}\n`
}

function quote(text: string): string {
  return text.replaceAll("'", '’').replaceAll(':', '\\:')
}

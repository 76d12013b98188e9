/**
 * Completion scripts for shells, from what commands declare: names of commands and options, values that
 * are one of a few, files where a file is wanted, and the command after `--` as the shell completes it.
 */
import { type Command, type Option, SHARED_OPTIONS } from '../command.ts'

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

/** Pure. */
export function renderCompletion(shell: Shell, commands: readonly Command[]): string {
  return RENDERERS[shell](commands)
}

const RENDERERS: Readonly<Record<Shell, (commands: readonly Command[]) => string>> = {
  bash: renderBash,
  zsh: renderZsh,
  fish: renderFish,
}

interface NamedOption {
  readonly name: string
  readonly option: Option
}

function optionsOf(command: Command): readonly NamedOption[] {
  const all: Readonly<Record<string, Option>> = { ...command.options, ...SHARED_OPTIONS }
  return Object.entries(all).map(([name, option]) => ({ name, option }))
}

/** As they are typed: `--file`, `-f`. */
function formsOf({ name, option }: NamedOption): readonly string[] {
  return option.short === undefined ? [`--${name}`] : [`--${name}`, `-${option.short}`]
}

/** What stands in the place of a value: one of a few, a file, or what only the user knows. */
function valueKindOf({ option }: NamedOption): readonly string[] | 'file' | 'other' | 'none' {
  if (option.kind === 'flag') return 'none'
  if (option.choices !== undefined) return option.choices
  return /FILE|DIR|PATH/.test(option.placeholder ?? '') ? 'file' : 'other'
}

/** What a word without a dash may be; options where it can be nothing; nothing where it is a file. */
function wordsOf({ operands, options }: Command): readonly string[] {
  if (operands.choices !== undefined) return operands.choices
  return operands.max === 0 ? Object.keys(options).map((name) => `--${name}`) : []
}

function renderBash(commands: readonly Command[]): string {
  const values = commands.flatMap((command) =>
    optionsOf(command).flatMap((option) => {
      const value = valueKindOf(option)
      if (value === 'none') return []
      const patterns = formsOf(option).map((form) => `'${command.name} ${form}'`)
      return [`    ${patterns.join(' | ')}) ${bashValue(value)} ;;`]
    }),
  )
  const words = commands.map((command) => {
    const options = optionsOf(command).map(({ name }) => `--${name}`)
    return `    ${command.name}) options='${options.join(' ')}' words='${wordsOf(command).join(' ')}' ;;`
  })
  return `_weft() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" options='' words='' i
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '${commands.map(({ name }) => name).join(' ')}' -- "$word"))
    return
  fi
  for ((i = 2; i < COMP_CWORD; i++)); do
    if [ "\${COMP_WORDS[i]}" = -- ]; then return; fi
  done
  # Bash takes --option=value apart.
  if [ "$word" = = ]; then word=''
  elif [ "$before" = = ]; then before="\${COMP_WORDS[COMP_CWORD-2]}"
  fi
  case "\${COMP_WORDS[1]} $before" in
${values.join('\n')}
  esac
  case "\${COMP_WORDS[1]}" in
${words.join('\n')}
  esac
  case "$word" in -*) words=$options ;; esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _weft weft
`
}

/** With no answer of ours bash offers files, unless it is told not to; version 3 cannot be told. */
function bashValue(value: readonly string[] | 'file' | 'other'): string {
  if (value === 'file') return 'return'
  if (value === 'other') return 'compopt +o default 2>/dev/null; return'
  return `COMPREPLY=($(compgen -W '${value.join(' ')}' -- "$word")); return`
}

function renderZsh(commands: readonly Command[]): string {
  const names = commands.map(({ name, summary }) => `    '${name}:${zshText(summary)}'`)
  const cases = commands.map((command) => {
    const options = optionsOf(command).flatMap((option) => zshOption(option))
    return `    ${command.name}) _arguments -s : ${[...options, zshRest(command)].join(' ')} ;;`
  })
  return `#compdef weft
_weft() {
  local -a names
  names=(
${names.join('\n')}
  )
  if (( CURRENT == 2 )); then _describe command names; return; fi
  local name="\${words[2]}"
  shift words
  (( CURRENT-- ))
  case "$name" in
${cases.join('\n')}
  esac
}
if ! (( $+functions[compdef] )); then autoload -Uz compinit && compinit; fi
compdef _weft weft
`
}

function zshOption(named: NamedOption): readonly string[] {
  const { option } = named
  const value = valueKindOf(named)
  const hint = zshText(option.placeholder ?? '')
  const argument =
    value === 'none'
      ? ''
      : value === 'file'
        ? `:${hint}:_files`
        : value === 'other'
          ? `:${hint}: `
          : `:${hint}:(${value.join(' ')})`
  const often = option.kind === 'list' ? '*' : ''
  return formsOf(named).map((form) => {
    const joined = argument !== '' && form.startsWith('--') ? '=' : ''
    return `'${often}${form}${joined}[${zshText(option.describe)}]${argument}'`
  })
}

function zshRest({ operands, takesCommand }: Command): string {
  if (takesCommand === true) return `'*:: :_normal'`
  if (operands.choices !== undefined) return `'1: :(${operands.choices.join(' ')})' '*: :_files'`
  return operands.max === 0 ? '' : `'*: :_files'`
}

/** Within single quotes, and within the brackets and colons of `_arguments`. */
function zshText(text: string): string {
  return text.replaceAll("'", '’').replaceAll(/[\\:[\]]/g, '\\$&')
}

function renderFish(commands: readonly Command[]): string {
  const lines = commands.flatMap((command) => {
    const isSeen = `complete -c weft -n '__fish_seen_subcommand_from ${command.name}'`
    return [
      `complete -c weft -f -n __fish_use_subcommand -a ${command.name} -d '${fishText(command.summary)}'`,
      ...optionsOf(command).map((named) => {
        const { name, option } = named
        const short = option.short === undefined ? '' : ` -s ${option.short}`
        return `${isSeen} -l ${name}${short}${fishValue(valueKindOf(named))} -d '${fishText(option.describe)}'`
      }),
      ...(command.operands.choices ?? []).map((choice) => `${isSeen} -a ${choice}`),
    ]
  })
  return `${lines.join('\n')}\n`
}

function fishValue(value: ReturnType<typeof valueKindOf>): string {
  if (value === 'none') return ''
  if (value === 'file') return ' -r -F'
  return value === 'other' ? ' -x' : ` -x -a '${value.join(' ')}'`
}

function fishText(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll("'", '’')
}

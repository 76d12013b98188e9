import { type Command, CommandError, UsageError } from '../command.ts'
import { API_OPTIONS } from '../input/control-access.ts'
import { readSources } from '../input/read-sources.ts'
import { type Destination, DIR_OPTION, destinationOf } from '../input/where-to-write.ts'
import {
  type Applied,
  awaitApplied,
  LOOK_EVERY_MS,
  renderApplied,
} from '../inspect/await-applied.ts'
import { isWell } from '../inspect/status.ts'
import type { ObjectName } from '../mesh-api.ts'
import { howToCallWeft, type Terminal } from '../terminal/terminal.ts'

export const apply: Command = {
  name: 'apply',
  group: 'configure it',
  summary: 'put objects into force: validate, then write them into the watched folder',
  synopsis: '-f FILE|DIR|- [--control URL | --dir DIR] [--json]',
  description: [
    'Nothing is written when anything is invalid. One file per object; an object that is there already',
    'is replaced. Then the proxies are waited for, at most two seconds, and what is not in force is told,',
    'e.g. a route to a host that does not exist; with --dir nobody is asked.',
    '',
    'With --json: {"ok","problems","objects","skipped","status":[{"kind","namespace","name","inForce",',
    '"summary"}]}.',
  ].join('\n'),
  options: {
    file: {
      kind: 'list',
      short: 'f',
      placeholder: 'FILE',
      describe: 'file, folder, glob or - for standard input',
    },
    ...API_OPTIONS,
    dir: DIR_OPTION,
  },
  operands: { min: 0, max: Number.POSITIVE_INFINITY },
  exits: { 1: 'an object is invalid; nothing was written', 3: 'no control plane answers' },
  examples: ['weft apply -f canary.yaml', 'cat canary.yaml | weft apply -f - --dir mesh/'],

  async run(args, terminal) {
    const paths = [...args.list('file'), ...args.operands]
    if (paths.length === 0)
      throw new UsageError('weft apply needs a file: weft apply -f rules.yaml')
    const sources = await readSources(paths, terminal)
    const destination = await destinationOf(args, terminal)
    const { renderProblems, validateDocuments } = await import('@weft/config')

    const validation = validateDocuments(sources)
    const texts = new Map(sources.map(({ file, text }) => [file, text]))
    const skipped = validation.skipped.map(({ object }) => `${object.kind} ${object.name}`)
    if (!validation.isValid) {
      const errors = validation.problems.filter(({ severity }) => severity === 'error')
      if (args.flag('json'))
        terminal.out(`${JSON.stringify({ ok: false, problems: errors, objects: [] })}\n`)
      else terminal.err(`${renderProblems(errors, texts)}Nothing was applied.\n`)
      return 1
    }
    const results = []
    for (const { file, text } of sources) results.push(await destination.apply(text, file))
    const ok = results.every((result) => result.ok)
    const problems = results.flatMap((result) => result.problems)
    const objects = results.flatMap((result) => result.objects)
    const became = await whatBecameOf(objects, destination, terminal)
    if (args.flag('json')) {
      const status = became?.statuses.map((one) => {
        const { kind, namespace, name, summary } = one
        return { kind, namespace, name, inForce: isWell(one), summary }
      })
      terminal.out(`${JSON.stringify({ ok, problems, objects, skipped, status })}\n`)
      return ok ? 0 : 1
    }
    const shown = problems.filter(({ severity }) => severity !== 'info')
    if (shown.length > 0) terminal.err(renderProblems(shown, texts))
    for (const { kind, namespace, name, outcome } of objects) {
      terminal.out(`${kind} ${namespace}/${name} ${outcome}\n`)
    }
    for (const object of skipped) {
      terminal.out(`${terminal.style.dim(`${object} skipped: the mesh does not read this kind`)}\n`)
    }
    if (!ok) terminal.err('Not everything was applied.\n')
    if (became !== undefined) terminal.err(renderApplied(became, howToCallWeft(terminal.env)))
    return ok ? 0 : 1
  },
}

/** Absent when nobody can say: a folder by itself, or a caller who may change and not look. */
async function whatBecameOf(
  objects: readonly ObjectName[],
  { status }: Destination,
  { clock }: Terminal,
): Promise<Applied | undefined> {
  if (status === undefined || objects.length === 0) return undefined
  const pause = () => new Promise<void>((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
  try {
    return await awaitApplied(objects, status, { clock, pause })
  } catch (error) {
    if (error instanceof CommandError) return undefined
    throw error
  }
}

import { type Command, UsageError } from '../command.ts'
import { failure } from '../failure.ts'
import { API_OPTIONS } from '../input/control-access.ts'
import { readSources } from '../input/read-sources.ts'
import { DIR_OPTION, destinationOf } from '../input/where-to-write.ts'

export const deleteCommand: Command = {
  name: 'delete',
  group: 'configure it',
  summary: 'take objects out of force: remove them from the watched folder',
  synopsis: '-f FILE|DIR|- [--control URL | --dir DIR] [--json]',
  description: 'Only kind, namespace and name of the objects in the files count.',
  options: {
    file: {
      kind: 'list',
      short: 'f',
      placeholder: 'FILE',
      describe: 'file, folder, glob or - for standard input',
    },
    ...API_OPTIONS,
    dir: DIR_OPTION,
    'ignore-missing': { kind: 'flag', describe: 'succeed when an object is not there' },
  },
  operands: { min: 0, max: Number.POSITIVE_INFINITY },
  exits: { 1: 'an object is not there, or a file cannot be read', 3: 'no control plane answers' },
  examples: ['weft delete -f canary.yaml'],

  async run(args, terminal) {
    const paths = [...args.list('file'), ...args.operands]
    if (paths.length === 0)
      throw new UsageError('weft delete needs a file: weft delete -f rules.yaml')
    const sources = await readSources(paths, terminal)
    const destination = await destinationOf(args, terminal)
    const { renderProblems, validateDocuments } = await import('@weft/config')
    const { objects, problems } = validateDocuments(sources)
    const unreadable = problems.filter(({ object, severity }) => !object && severity === 'error')
    if (unreadable.length > 0) {
      const texts = new Map(sources.map(({ file, text }) => [file, text]))
      terminal.err(`${renderProblems(unreadable, texts)}Nothing was deleted.\n`)
      if (args.flag('json')) {
        const error = failure('unreadable', 'Nothing was deleted: a file cannot be read')
        terminal.out(
          `${JSON.stringify({ ...error, deleted: [], missing: [], problems: unreadable })}\n`,
        )
      }
      return 1
    }
    // Invalid objects may be deleted too: that is often the reason.
    const names = objects.map(({ object: { kind, namespace, name } }) => ({
      kind,
      namespace,
      name,
    }))
    const { deleted, missing } = await destination.delete(names)
    if (args.flag('json')) terminal.out(`${JSON.stringify({ deleted, missing })}\n`)
    else {
      for (const { kind, namespace, name } of deleted) {
        terminal.out(`${kind} ${namespace}/${name} deleted\n`)
      }
      for (const { kind, namespace, name } of missing) {
        terminal.err(`${kind} ${namespace}/${name} is not there\n`)
      }
    }
    return missing.length === 0 || args.flag('ignore-missing') ? 0 : 1
  },
}

import { type Command, UsageError } from '../command.ts'
import { readSources } from '../input/read-sources.ts'

export const validate: Command = {
  name: 'validate',
  group: 'configure it',
  summary: 'check configuration files before anybody uses them',
  synopsis: 'FILE|DIR|GLOB|-… [--strict] [--json]',
  description: [
    'Checks each object by itself (fields, formats, rules of its kind) and all of them together',
    '(references, conflicts). Kinds that the mesh does not read are skipped with a note.',
    '',
    'With --json, one array:',
    '  [{"file","line","kind","namespace","name","valid",',
    '    "problems":[{"path","line","severity","message"}]}]',
  ].join('\n'),
  options: {
    file: {
      kind: 'list',
      short: 'f',
      placeholder: 'FILE',
      describe: 'file, folder, glob or - for standard input',
    },
    namespace: {
      kind: 'value',
      short: 'n',
      placeholder: 'NAME',
      describe: 'namespace of objects that name none (default)',
    },
    strict: { kind: 'flag', describe: 'treat warnings as errors' },
  },
  operands: { min: 0, max: Number.POSITIVE_INFINITY },
  exits: { 1: 'at least one object is invalid' },
  examples: ['weft validate mesh/', 'kubectl get vs -o yaml | weft validate - --json'],

  async run(args, terminal) {
    const paths = [...args.list('file'), ...args.operands]
    if (paths.length === 0) throw new UsageError('weft validate needs a file, a folder, or -')
    const sources = await readSources(paths, terminal)
    const { validateDocuments } = await import('@weft/config')
    const { renderValidation, reportObjects } = await import('../validate/report.ts')

    const namespace = args.value('namespace')
    const validation = validateDocuments(
      sources,
      namespace === undefined ? {} : { defaultNamespace: namespace },
    )
    if (args.flag('json')) {
      terminal.out(`${JSON.stringify(reportObjects(validation), undefined, 2)}\n`)
    } else {
      const texts = new Map(sources.map(({ file, text }) => [file, text]))
      terminal.out(renderValidation(validation, texts, terminal.style))
    }
    const refused = args.flag('strict') ? ['error', 'warning'] : ['error']
    return validation.problems.some(({ severity }) => refused.includes(severity)) ? 1 : 0
  },
}

import type { Arguments } from '../arguments.ts'
import { type Command, CommandError, UsageError } from '../command.ts'
import type { DescribedKind } from '../describe/describe.ts'
import type { Described } from '../describe/rows.ts'
import { API_OPTIONS } from '../input/control-access.ts'
import { readQuietly } from '../input/scene.ts'
import { meshApiOf } from '../input/where-to-write.ts'
import type { Terminal } from '../terminal/terminal.ts'

const KINDS = ['workload', 'service', 'gateway', 'route'] as const

export const describe: Command = {
  name: 'describe',
  group: 'look into it',
  summary: 'list what holds for a workload, service, gateway or route',
  synopsis: `[${KINDS.join('|')}] NAMESPACE/NAME [-f FILE… | --control URL] [--json]`,
  description: [
    'Policies of each kind with the file and line they come from, mutual TLS of each port, ports and',
    'protocols, routes, subsets, settings in force, and what is odd. Without a kind whatever has the',
    'name is meant: a service before a workload. With -f nothing needs to run.',
    '',
    'With --json: {"kind","name","origin","warnings", and the sections: "identity","services","ports",',
    '"policies","routes","subsets","workloads","settings","listeners","rules","conditions"}.',
  ].join('\n'),
  options: {
    file: {
      kind: 'list',
      short: 'f',
      placeholder: 'FILE',
      describe: 'answer from these files, without a control plane',
    },
    ...API_OPTIONS,
  },
  operands: { min: 1, max: 2 },
  exits: { 1: 'nothing has that name', 3: 'no control plane answers' },
  examples: [
    'weft describe shop/cart',
    'weft describe workload a/pay-v1 -f mesh/',
    'weft describe gateway istio-system/edge -f mesh/ --json',
  ],

  async run(args, terminal) {
    const { kind, name } = thingOf(args)
    const state = await stateOf(args, name, terminal)
    const { describe: look } = await import('../describe/describe.ts')
    const found = look(state, name, kind)
    if (found === undefined) {
      throw new CommandError(
        `There is no ${kind ?? 'workload, service, gateway or route'} ${name}`,
        1,
        {
          hint: 'Names are NAMESPACE/NAME; without a namespace it is default',
        },
      )
    }
    const { descriptionJson } = await import('../describe/description.ts')
    const { renderDescription } = await import('../describe/render.ts')
    terminal.out(
      args.flag('json')
        ? `${JSON.stringify(descriptionJson(found))}\n`
        : renderDescription(found, terminal.style),
    )
    return 0
  },
}

function thingOf({ operands }: Arguments): {
  readonly kind?: DescribedKind
  readonly name: string
} {
  const [first = '', second] = operands
  if (second === undefined) return { name: first }
  const kind = KINDS.find((one) => one === first)
  if (kind === undefined) {
    throw new UsageError(`weft describe knows ${KINDS.join(', ')}, not '${first}'`)
  }
  return { kind, name: second }
}

async function stateOf(args: Arguments, name: string, terminal: Terminal): Promise<Described> {
  const { meshView } = await import('../access/mesh-view.ts')
  const paths = args.list('file')
  if (paths.length === 0) {
    const api = await meshApiOf(args, terminal)
    const { liveDocuments } = await import('../describe/live-scene.ts')
    const { liveDestinations } = await import('../access/live-mesh.ts')
    const documents = await liveDocuments(api)
    const { objects, problems } = await api.status()
    // Whoever is not connected is described as written.
    const connected = await liveDestinations(api, name).catch((error: unknown) => {
      if (error instanceof CommandError && error.exitCode === 1) return []
      throw error
    })
    const mesh = meshView({ documents })
    return { mesh, connected, objects, problems: problems.map(problemText) }
  }
  const scene = await readQuietly(paths, terminal)
  return { mesh: meshView(scene), problems: scene.problems.map(problemText) }
}

interface Found {
  readonly object?: { readonly kind: string; readonly namespace: string; readonly name: string }
  readonly file: string
  readonly line: number
  readonly message: string
}

function problemText({ object, file, line, message }: Found) {
  const name = object === undefined ? '' : `${object.kind} ${object.namespace}/${object.name}`
  return { object: name, text: `${name === '' ? '' : `${name}: `}${message} (${file}:${line})` }
}

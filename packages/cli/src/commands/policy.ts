import type { Document } from '@weft/config'
import type { Arguments } from '../arguments.ts'
import { type Command, UsageError } from '../command.ts'
import { API_OPTIONS } from '../input/control-access.ts'
import { readScene } from '../input/scene.ts'
import { meshApiOf } from '../input/where-to-write.ts'
import type { Scene } from '../simulate/perspective.ts'
import type { Terminal } from '../terminal/terminal.ts'

export const policy: Command = {
  name: 'policy',
  group: 'look into it',
  summary: 'print the calls that a change of policies newly allows or denies',
  synopsis: 'diff FILE… [-f FILE… | --control URL] [--replace | --delete] [--json]',
  description: [
    'FILE… is what would be applied; the mesh as it is comes from -f, else from the control plane.',
    'Tried is one call for every combination that the policies before and after can tell apart:',
    'principals, namespaces, addresses, paths, methods, hosts, ports, headers, server names, claims.',
    '',
    'With --json: {"changes":[{"verdict" (allowed, denied, asked),"to","port","protocol","calls":',
    '{dimension: [classes]},"example","before","after"}],"gaps"}; "gaps" is empty when all was tried.',
  ].join('\n'),
  options: {
    file: {
      kind: 'list',
      short: 'f',
      placeholder: 'FILE',
      describe: 'the mesh as it is, from files',
    },
    replace: { kind: 'flag', describe: 'FILE… is the whole mesh, not what changes in it' },
    delete: { kind: 'flag', describe: 'what is in FILE… would be deleted' },
    ...API_OPTIONS,
  },
  operands: { min: 2, max: Number.POSITIVE_INFINITY, choices: ['diff'] },
  exits: { 0: 'no call changes its fate', 1: 'some do', 3: 'no control plane answers' },
  examples: [
    'weft policy diff new-policy.yaml',
    'weft policy diff -f mesh/ new-policy.yaml --json',
    'weft policy diff -f mesh/ --replace mesh-next/',
  ],

  async run(args, terminal) {
    if (args.flag('replace') && args.flag('delete')) {
      throw new UsageError('--replace and --delete exclude each other')
    }
    const now = await sceneOf(args, terminal)
    const proposed = await readScene(args.operands.slice(1), terminal)
    const next = sceneAfter(now, proposed, args)
    const { meshView } = await import('../access/mesh-view.ts')
    const { policyDiff } = await import('../policy-diff/policy-diff.ts')
    const { renderPolicyDiff } = await import('../policy-diff/render.ts')
    const diff = policyDiff(meshView(now), meshView(next))
    terminal.out(
      args.flag('json') ? `${JSON.stringify(diff)}\n` : renderPolicyDiff(diff, terminal.style),
    )
    return diff.changes.length === 0 ? 0 : 1
  },
}

async function sceneOf(args: Arguments, terminal: Terminal): Promise<Scene> {
  const paths = args.list('file')
  if (paths.length > 0) return readScene(paths, terminal)
  const { liveDocuments } = await import('../describe/live-scene.ts')
  return { documents: await liveDocuments(await meshApiOf(args, terminal)) }
}

function sceneAfter(now: Scene, proposed: Scene, args: Arguments): Scene {
  if (args.flag('replace')) return proposed
  const names = new Set(proposed.documents.map(nameOf))
  const rest = now.documents.filter((one) => !names.has(nameOf(one)))
  const added = args.flag('delete') ? [] : proposed.documents
  return {
    documents: [...rest, ...added],
    templates: [
      ...(now.templates ?? []),
      ...(args.flag('delete') ? [] : (proposed.templates ?? [])),
    ],
  }
}

function nameOf({ type, metadata }: Document): string {
  return `${type} ${metadata.namespace}/${metadata.name}`
}

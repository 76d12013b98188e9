import { join, resolve } from 'node:path'
import { type Command, UsageError } from '../command.ts'
import { DEFAULT_XDS } from '../run/addresses.ts'
import { envoyBootstrap, grpcBootstrap } from '../run/client-bootstrap.ts'
import { instanceOf, WORKLOAD_OPTIONS, workloadOf } from '../run/sidecar-options.ts'

export const bootstrap: Command = {
  name: 'bootstrap',
  group: 'run a mesh',
  summary: 'print the bootstrap with which an Envoy or a gRPC program joins the mesh',
  synopsis: 'envoy|grpc [options]',
  description: [
    '`envoy` prints a bootstrap for an Envoy that has its configuration from the control plane and its',
    'identity from a `weft agent` on the same machine. `grpc` prints one for a gRPC program that speaks',
    'xDS itself (GRPC_XDS_BOOTSTRAP=FILE), with its identity from the files of `weft agent --cert-dir`.',
  ].join('\n'),
  options: {
    role: {
      kind: 'value',
      short: 'r',
      placeholder: 'ROLE',
      describe: 'envoy: sidecar or gateway (sidecar)',
      choices: ['sidecar', 'gateway'],
    },
    name: WORKLOAD_OPTIONS.name,
    namespace: WORKLOAD_OPTIONS.namespace,
    'service-account': WORKLOAD_OPTIONS['service-account'],
    label: WORKLOAD_OPTIONS.label,
    address: WORKLOAD_OPTIONS.address,
    control: {
      kind: 'value',
      placeholder: 'HOST:PORT',
      describe: `xDS address of the control plane, in plaintext (${DEFAULT_XDS})`,
    },
    socket: {
      kind: 'value',
      placeholder: 'PATH',
      describe: 'envoy: socket of the agent; without one it has no identity',
    },
    'cert-dir': {
      kind: 'value',
      placeholder: 'DIR',
      describe: 'grpc: folder of the agent; without one it has no identity',
    },
    admin: { kind: 'value', placeholder: 'PORT', describe: 'envoy: admin port (none)' },
  },
  operands: { min: 1, max: 1, choices: ['envoy', 'grpc'] },
  exits: {},
  examples: [
    'weft bootstrap envoy -n shop --service-account cart --socket /run/weft/cart/workload.sock > envoy.json',
    'weft bootstrap grpc --service-account cart --cert-dir /run/weft/cart/certs > grpc.json',
  ],

  run(args, terminal) {
    const [kind] = args.operands
    const workload = workloadOf(args, args.value('service-account') ?? 'workload')
    const socket = args.value('socket')
    const folder = args.value('cert-dir')
    const node = {
      workload,
      kind: args.value('role') === 'gateway' ? ('router' as const) : ('sidecar' as const),
      instance: instanceOf(workload, terminal.random),
      address: args.value('address') ?? '127.0.0.1',
      hasIdentity: (kind === 'envoy' ? socket : folder) !== undefined,
    }
    const control = args.value('control') ?? DEFAULT_XDS
    if (control.startsWith('unix:') || control.startsWith('tls:')) {
      throw new UsageError(`--control must be HOST:PORT here, got '${control}'`)
    }
    const path = (name: string) => resolve(terminal.cwd, name)
    const made =
      kind === 'envoy'
        ? envoyBootstrap(node, control, socket && path(socket), args.port('admin'))
        : grpcBootstrap(node, control, folder && ((name) => join(path(folder), name)))
    terminal.out(`${JSON.stringify(made, undefined, 2)}\n`)
    return Promise.resolve(0)
  },
}

import type { Command } from '../command.ts'

export const demo: Command = {
  name: 'demo',
  group: 'run a mesh',
  summary: 'watch a whole mesh steer real traffic: a bookstore of six workloads',
  synopsis: '[--broker] [--check] [--json]',
  description: [
    'Starts a control plane, an ingress gateway and a bookstore, each application behind its own',
    'sidecar, sends visitors, and shows who calls whom. Change the mesh with `weft apply` from a second',
    'terminal, or by editing files in the watched folder. Ctrl-C ends everything.',
    '',
    'With --broker no application has a sidecar or a port: each dials out to one RSocket broker, by',
    '`weft agent`, and listens on a socket file only. The mesh, its rules and the tour are the same.',
    '',
    'With --check the tour (canary, routing by header, delay and timeout, mirror) is taken and judged',
    'by itself, with real requests.',
  ].join('\n'),
  options: {
    broker: { kind: 'flag', describe: 'without sidecars: the applications dial out to a broker' },
    check: { kind: 'flag', describe: 'take the tour, verify each step, print a table' },
  },
  operands: { min: 0, max: 0 },
  exits: {
    1: 'the demo did not start, or a check failed',
    130: 'stopped by Ctrl-C during --check',
  },
  examples: ['weft demo', 'weft demo --check', 'weft demo --broker'],

  async run(args, terminal) {
    const kind = args.flag('broker') ? 'broker' : 'sidecars'
    if (args.flag('check')) {
      const { runCheck } = await import('../demo/run-check.ts')
      return (await runCheck(args.flag('json'), kind, terminal)) ? 0 : 1
    }
    const { runDemo } = await import('../demo/run-demo.ts')
    return runDemo(args.flag('json'), kind, terminal)
  },
}

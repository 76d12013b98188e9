import { join, resolve } from 'node:path'
import { type Command, UsageError } from '../command.ts'
import {
  BROKER_AGENT_OPTIONS,
  brokerAgentOf,
  MAX_SOCKET_BYTES,
  refuseOptions,
} from '../run/broker-agent-options.ts'
import { openLogs } from '../run/process-logs.ts'
import {
  durationMsOf,
  identityOptionsOf,
  instanceOf,
  stateDirOf,
  WORKLOAD_OPTIONS,
  workloadOf,
} from '../run/sidecar-options.ts'

const BROKER_FORM = Object.keys(BROKER_AGENT_OPTIONS).filter((name) => name !== 'broker')
const IDENTITY_FORM = ['socket', 'cert-dir', 'cert-ttl', 'state', 'join-token']

export const agent: Command = {
  name: 'agent',
  group: 'run a mesh',
  summary: 'join without a sidecar: dial out to a broker, or get an identity as files and API',
  synopsis:
    '--broker ADDRESS… [--service NAME[:PORT] --app-port PORT] [-- CMD…] | --service-account NAME',
  description: [
    'With --broker: connects an ordinary HTTP application outward to brokers. It needs no port that',
    'others reach and no code of ours: requests of others come in over the connection and go to its',
    'port on loopback or its Unix socket, and what it calls through HTTP_PROXY goes out over it, by the',
    "mesh's routes. Others call it only while it answers. On SIGTERM it takes nothing new, ends what is",
    'under way, and then ends CMD. Who it is says a token or a certificate; with --service-account the',
    'control plane of the same user on this machine is asked for tokens. The next one is shown in time.',
    '',
    'Without --broker: gets a certificate from the control plane, renews it, and hands it to one workload,',
    "by SPIFFE's Workload API (X.509 and JWT SVIDs, bundles) and by Envoy's SDS (the secrets default",
    'and ROOTCA) on one Unix socket, and with --cert-dir as files that change in one step: cert-chain.pem,',
    'key.pem, root-cert.pem, spiffe-bundles.json (as gRPC reads them, see `weft bootstrap grpc`).',
    'The key is made here and goes to nobody else. Who may open the socket is the workload: its folder',
    'is made 0700 and the socket 0600, so that is whoever runs as the same user.',
    '`weft run` needs no agent: its sidecar serves the same to CMD.',
  ].join('\n'),
  options: {
    ...BROKER_AGENT_OPTIONS,
    name: WORKLOAD_OPTIONS.name,
    namespace: WORKLOAD_OPTIONS.namespace,
    'service-account': WORKLOAD_OPTIONS['service-account'],
    socket: {
      kind: 'value',
      placeholder: 'PATH',
      describe: 'where the socket is (workload.sock in a folder below ~/.local/state/weft)',
    },
    'cert-dir': {
      kind: 'value',
      placeholder: 'DIR',
      describe: 'write certificate, key and roots into this folder, too',
    },
    'cert-ttl': {
      kind: 'value',
      placeholder: 'DURATION',
      describe: 'life of certificates to ask for; half-way through it comes the next (24h)',
    },
    control: WORKLOAD_OPTIONS.control,
    state: WORKLOAD_OPTIONS.state,
    'join-token': WORKLOAD_OPTIONS['join-token'],
    'token-file': WORKLOAD_OPTIONS['token-file'],
    'log-level': WORKLOAD_OPTIONS['log-level'],
  },
  operands: { min: 0, max: 0 },
  takesCommand: true,
  exits: {
    126: 'CMD cannot be run',
    127: 'there is no such CMD',
  },
  examples: [
    'weft agent --broker broker:7878 --service reviews:9080 --app-port 9080 -- node reviews.js',
    'weft agent --broker tcps://b1:7879 --broker tcps://b2:7879 --token-file token --service cart --app-socket /run/cart.sock',
    'weft agent -n shop --service-account cart --socket /run/weft/cart/workload.sock',
    'weft agent --service-account cart --cert-dir /run/weft/cart/certs',
  ],

  async run(args, terminal) {
    if (args.list('broker').length > 0) {
      refuseOptions(args, IDENTITY_FORM, 'and --broker do not go together')
      const run = await brokerAgentOf(args, terminal)
      const { runBrokerAgent } = await import('../run/run-broker-agent.ts')
      return runBrokerAgent(run, terminal, openLogs(args, terminal))
    }
    refuseOptions(args, BROKER_FORM, 'needs --broker ADDRESS')
    if (args.command.length > 0) throw new UsageError('a command after -- needs --broker ADDRESS')
    if (args.value('service-account') === undefined) {
      throw new UsageError(
        'weft agent needs --broker ADDRESS to dial out, or --service-account NAME: who the workload is',
      )
    }
    const workload = workloadOf(args, args.value('service-account') ?? 'agent')
    const identity = identityOptionsOf(args, workload, terminal)
    if (identity === undefined) {
      throw new UsageError(
        'weft agent has nothing to prove who it is with: --join-token, --token-file, or a control plane of the same user on this machine',
      )
    }
    const stateDir = stateDirOf(args, workload, terminal)
    const socketPath = resolve(
      terminal.cwd,
      args.value('socket') ?? join(stateDir, 'workload.sock'),
    )
    if (Buffer.byteLength(socketPath) > MAX_SOCKET_BYTES) {
      throw new UsageError(
        `--socket must have at most ${MAX_SOCKET_BYTES} bytes, as the system wants it, got ${socketPath}`,
      )
    }
    const certificateDir = args.value('cert-dir')
    const lifetimeMs = durationMsOf(args, 'cert-ttl')
    const instance = instanceOf(workload, terminal.random)
    const { runAgent } = await import('../run/run-agent.ts')
    return runAgent(
      {
        identity: { ...identity, ...(lifetimeMs === undefined ? {} : { lifetimeMs }) },
        workload,
        nodeId: `agent~127.0.0.1~${instance}.${workload.namespace}~${workload.namespace}.svc.cluster.local`,
        socketPath,
        ...(certificateDir === undefined
          ? {}
          : { certificateDir: resolve(terminal.cwd, certificateDir) }),
      },
      { isJson: args.flag('json') },
      terminal,
      openLogs(args, terminal),
    )
  },
}

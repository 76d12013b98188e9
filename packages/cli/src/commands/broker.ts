import { hostname } from 'node:os'
import { type Command, UsageError } from '../command.ts'
import { CLUSTER_OPTIONS } from '../run/broker-cluster-options.ts'
import { brokerOptionsOf } from '../run/broker-options.ts'
import { UPSTREAM_OPTIONS } from '../run/broker-upstream-options.ts'
import { openLogs } from '../run/process-logs.ts'
import { WORKLOAD_OPTIONS } from '../run/sidecar-options.ts'

export const broker: Command = {
  name: 'broker',
  group: 'run a mesh',
  summary: 'run an RSocket broker: applications dial out to it and call each other through it',
  synopsis: '[--listen HOST:PORT] [--listen-tls HOST:PORT] [options]',
  description: [
    'Who dials in needs no open port. SETUP must say who it is: a token of `weft token create`, a JWT-SVID',
    'for the audience weft-broker, a token of an issuer of --jwks, or a client certificate over TLS.',
    'On loopback the secret that the control plane left for its own user does it, too, as a bearer token.',
    'Calls are routed and authorized by the mesh: VirtualService, DestinationRule and AuthorizationPolicy',
    'hold as they do for HTTP. With --standalone there is no control plane: calls go by name alone.',
    'TLS listeners show the certificate that the control plane gives, or --tls-cert and --tls-key.',
    'Plaintext is for loopback; elsewhere --insecure-plaintext has to say that tokens may be read.',
    'With --etcd several brokers are one: who is connected to one can be called at all of them.',
    'SIGTERM drains: new streams are refused, what is open may end within --drain.',
  ].join('\n'),
  options: {
    listen: {
      kind: 'value',
      placeholder: 'HOST:PORT|off',
      describe: 'RSocket over TCP, plaintext (127.0.0.1:7878)',
    },
    'listen-ws': {
      kind: 'value',
      placeholder: 'HOST:PORT|off',
      describe: 'RSocket over WebSocket, plaintext (127.0.0.1:7879)',
    },
    'listen-tls': { kind: 'value', placeholder: 'HOST:PORT', describe: 'RSocket over TLS' },
    'listen-wss': {
      kind: 'value',
      placeholder: 'HOST:PORT',
      describe: 'RSocket over WebSocket and TLS',
    },
    'tls-cert': { kind: 'value', placeholder: 'FILE', describe: 'certificate chain, PEM' },
    'tls-key': { kind: 'value', placeholder: 'FILE', describe: 'its key, PEM' },
    'client-ca': {
      kind: 'value',
      placeholder: 'FILE',
      describe: 'roots of client certificates, PEM (those of the mesh)',
    },
    'insecure-plaintext': {
      kind: 'flag',
      describe: 'plaintext on an address that others reach: tokens may be read on the way',
    },
    'allow-anonymous': {
      kind: 'flag',
      describe: 'let in who shows nothing, on loopback only; policies see nobody',
    },
    jwks: {
      kind: 'list',
      placeholder: 'ISSUER=FILE|URL',
      describe: 'take tokens of this issuer, by its JWK set',
    },
    audience: {
      kind: 'list',
      placeholder: 'NAME',
      describe: 'one must be in aud of every token (weft-broker)',
    },
    'token-namespace': {
      kind: 'value',
      placeholder: 'NAME',
      describe: 'where in the mesh tokens of --jwks are that do not say (default)',
    },
    'endless-tokens': {
      kind: 'flag',
      describe: "take tokens of --jwks without exp, as Alibaba's broker makes them",
    },
    revoked: {
      kind: 'value',
      placeholder: 'FILE',
      describe: 'tokens that do not count: a jti or SHA-256 a line; read again when it changes',
    },
    'key-host': WORKLOAD_OPTIONS['key-host'],
    'trust-domain': {
      kind: 'value',
      placeholder: 'NAME',
      describe: "of identities (the mesh's, else cluster.local)",
    },
    standalone: { kind: 'flag', describe: 'no control plane: calls go by name, without policy' },
    control: {
      kind: 'value',
      placeholder: 'HOST:PORT',
      describe:
        'xDS address of the control plane, or unix:PATH; tls:HOST:PORT and port 15012 need its --brokers (127.0.0.1:15010)',
    },
    'bridge-host': {
      kind: 'value',
      placeholder: 'IP',
      describe: 'address at which HTTP callers of the mesh reach what dialled in (127.0.0.1)',
    },
    id: { kind: 'value', placeholder: 'NAME', describe: 'unique among the brokers (host-pid)' },
    namespace: WORKLOAD_OPTIONS.namespace,
    'service-account': {
      ...WORKLOAD_OPTIONS['service-account'],
      describe: 'service account of the broker itself (broker)',
    },
    'join-token': WORKLOAD_OPTIONS['join-token'],
    'ca-roots': WORKLOAD_OPTIONS['ca-roots'],
    'token-file': WORKLOAD_OPTIONS['token-file'],
    state: WORKLOAD_OPTIONS.state,
    admin: { kind: 'value', placeholder: 'HOST:PORT', describe: 'admin port (127.0.0.1:7880)' },
    'admin-token-file': {
      kind: 'value',
      placeholder: 'FILE',
      describe: 'who may use an admin port that others reach',
    },
    filter: {
      kind: 'list',
      placeholder: 'FILE|DIR',
      describe:
        'run this TypeScript filter, or all of a folder, and again when they change; `--filter types` prints what they are written against',
    },
    'scrape-token-file': {
      kind: 'value',
      placeholder: 'FILE',
      describe: 'who may only scrape there: /sd/prometheus and /scrape/… (--admin-token-file)',
    },
    limit: {
      kind: 'list',
      placeholder: 'NAME=N',
      describe: 'e.g. max-streams=1000; `weft broker --limit help` lists them',
    },
    resume: {
      kind: 'value',
      placeholder: 'DURATION',
      describe:
        'let clients that ask for it resume a lost connection so long, over TCP and TLS (off)',
    },
    drain: {
      kind: 'value',
      placeholder: 'DURATION',
      describe: 'how long open streams may take to end (25s)',
    },
    ...CLUSTER_OPTIONS,
    ...UPSTREAM_OPTIONS,
    transport: WORKLOAD_OPTIONS.transport,
    'log-level': WORKLOAD_OPTIONS['log-level'],
  },
  operands: { min: 0, max: 0 },
  exits: {},
  examples: [
    'weft broker',
    'weft broker --listen off --listen-ws off --listen-tls 0.0.0.0:7878',
    'weft broker --standalone --allow-anonymous',
    'weft broker --id b1 --etcd 127.0.0.1:2379',
    'weft broker --filter filters/',
    'weft broker --filter types > filters/weft-filter.d.ts',
    'weft broker --standalone --jwks https://issuer.example=https://issuer.example/jwks.json',
  ],

  async run(args, terminal) {
    if (args.list('limit').includes('help')) {
      const { limitsHelp } = await import('../run/run-broker.ts')
      terminal.out(limitsHelp(args.flag('json')))
      return 0
    }
    if (args.list('filter').includes('types')) {
      const { filterTypes } = await import('../run/broker-filters.ts')
      const text = await filterTypes()
      terminal.out(args.flag('json') ? `${JSON.stringify({ types: text })}\n` : text)
      return 0
    }
    const options = await brokerOptionsOf(args, terminal, defaultId())
    if (options.listeners.length === 0) {
      throw new UsageError('weft broker has no listener: --listen, --listen-ws, --listen-tls')
    }
    const { runBroker } = await import('../run/run-broker.ts')
    return runBroker(options, { isJson: args.flag('json') }, terminal, openLogs(args, terminal))
  },
}

function defaultId(): string {
  return `${hostname().toLowerCase()}-${process.pid}`
}

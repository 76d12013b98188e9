import { parseDurationMs } from '@weft/base'
import type { Arguments } from '../arguments.ts'
import { type Command, UsageError } from '../command.ts'
import { API_OPTIONS } from '../input/control-access.ts'
import { meshApiOf } from '../input/where-to-write.ts'
import { columns } from '../terminal/columns.ts'

const DEFAULT_TTL = '10m'

export const joinToken: Command = {
  name: 'join-token',
  group: 'run a mesh',
  summary: 'make, list or revoke tokens by which proxies of other machines join',
  synopsis: '[create|list|revoke] [options]',
  description: [
    '`create` prints a token that gets a workload its first certificate: once unless --uses says more,',
    'and for ten minutes unless --ttl says longer. It carries the hash of the CA, so that the proxy',
    'trusts nobody on first sight: TOKEN@sha256:HASH. Nobody can be shown a token again.',
  ].join('\n'),
  options: {
    namespace: {
      kind: 'value',
      short: 'n',
      placeholder: 'NAME',
      describe: 'of the workload (default)',
    },
    'service-account': { kind: 'value', placeholder: 'NAME', describe: 'identity of the workload' },
    node: { kind: 'value', placeholder: 'ID', describe: 'the only xDS node id that may use it' },
    ttl: {
      kind: 'value',
      placeholder: 'DURATION',
      describe: `how long it is good (${DEFAULT_TTL})`,
    },
    uses: { kind: 'value', placeholder: 'N|any', describe: 'how often it is good (1)' },
    ...API_OPTIONS,
  },
  operands: { min: 0, max: 2, choices: ['create', 'list', 'revoke'] },
  exits: { 3: 'no control plane answers' },
  examples: [
    'weft join-token create --namespace shop --service-account cart',
    'weft join-token create -n shop --service-account cart --ttl 24h --uses any --json',
    'weft join-token revoke 3f9c2a1b7d04',
  ],

  async run(args, terminal) {
    const [verb = 'list', id] = args.operands
    const isJson = args.flag('json')
    const api = await meshApiOf(args, terminal)
    if (verb === 'create') {
      const made = await api.createJoinToken(optionsOf(args))
      terminal.out(isJson ? `${JSON.stringify(made)}\n` : `${made.token}\n`)
      return 0
    }
    if (verb === 'revoke') {
      if (id === undefined) throw new UsageError('weft join-token revoke needs the id of a token')
      await api.revokeJoinToken(id)
      terminal.out(isJson ? `${JSON.stringify({ revoked: id })}\n` : `join token ${id} revoked\n`)
      return 0
    }
    const tokens = await api.joinTokens()
    if (isJson) {
      terminal.out(`${JSON.stringify({ tokens })}\n`)
      return 0
    }
    const rows = tokens.map((token) => [
      token.id,
      `${token.namespace}/${token.serviceAccount}`,
      token.node ?? 'any',
      token.usesLeft === undefined ? 'any' : String(token.usesLeft),
      new Date(token.expiresAtMs).toISOString(),
    ])
    terminal.out(
      rows.length === 0
        ? 'There are no join tokens.\n'
        : columns([['ID', 'IDENTITY', 'NODE', 'USES LEFT', 'UNTIL'], ...rows]),
    )
    return 0
  },
}

function optionsOf(args: Arguments) {
  const serviceAccount = args.value('service-account')
  if (serviceAccount === undefined) {
    throw new UsageError('weft join-token create needs --service-account NAME')
  }
  const ttl = args.value('ttl') ?? DEFAULT_TTL
  const ttlMs = parseDurationMs(ttl)
  if (ttlMs === undefined) {
    throw new UsageError(`--ttl must be a duration such as 10m or 24h, got '${ttl}'`)
  }
  const uses = args.value('uses') ?? '1'
  if (uses !== 'any' && !/^[1-9]\d{0,8}$/.test(uses)) {
    throw new UsageError(`--uses must be a number or any, got '${uses}'`)
  }
  const node = args.value('node')
  return {
    namespace: args.value('namespace') ?? 'default',
    serviceAccount,
    ...(node === undefined ? {} : { node }),
    ttlSeconds: ttlMs / 1_000,
    uses: uses === 'any' ? ('any' as const) : Number(uses),
  }
}

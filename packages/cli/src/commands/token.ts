import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { parseDurationMs } from '@weft/base'
import type { Arguments } from '../arguments.ts'
import { type Command, CommandError, EXIT_UNREACHABLE, UsageError } from '../command.ts'
import { DEFAULT_XDS, isLoopback, isTlsAddress, parseConnect } from '../run/addresses.ts'
import { bootstrapFile } from '../run/bootstrap.ts'
import { checkName, WORKLOAD_OPTIONS } from '../run/sidecar-options.ts'
import { howToCallWeft, type Terminal } from '../terminal/terminal.ts'

const DEFAULT_TTL = '1h'
const DEFAULT_AUDIENCE = 'weft-broker'

interface Made {
  readonly token: string
  readonly id: string
  readonly expiresAt: string
}

export const token: Command = {
  name: 'token',
  group: 'run a mesh',
  summary: 'make a token by which an application dials in to a broker',
  synopsis: 'create --service-account NAME [-n NAMESPACE] [--ttl DURATION] [options]',
  description: [
    'Prints a JWT-SVID of the control plane: who the application is, for whom the token is meant, and',
    'until when, an hour at most. Whoever runs the control plane may make one for anybody; elsewhere',
    '--join-token says who may. A link whose token ends is cut: a process that stays gets the next one',
    'from the Workload API (`weft agent`) and shows it on the same link.',
    'With --key nobody is asked: the file signs, and is made when it is missing. Brokers take such',
    'tokens with --jwks ISSUER=FILE.jwks.json, which is written beside the key.',
    'Other tokens: `weft join-token` is for the first certificate of a proxy, `weft auth` for people.',
  ].join('\n'),
  options: {
    'service-account': WORKLOAD_OPTIONS['service-account'],
    namespace: WORKLOAD_OPTIONS.namespace,
    ttl: {
      kind: 'value',
      placeholder: 'DURATION',
      describe: `how long it is good (${DEFAULT_TTL})`,
    },
    audience: {
      kind: 'list',
      placeholder: 'NAME',
      describe: `for whom it is meant (${DEFAULT_AUDIENCE})`,
    },
    control: WORKLOAD_OPTIONS.control,
    'join-token': WORKLOAD_OPTIONS['join-token'],
    key: {
      kind: 'value',
      placeholder: 'FILE',
      describe: 'sign with this private key, PEM, without a control plane',
    },
    issuer: { kind: 'value', placeholder: 'NAME', describe: 'with --key: iss of the token' },
  },
  operands: { min: 1, max: 1, choices: ['create'] },
  exits: { 3: 'no control plane answers' },
  examples: [
    'weft token create -n shop --service-account cart',
    'weft token create --service-account cart --ttl 10m --json',
    'weft token create --service-account cart --key dev.key --issuer https://dev.example',
  ],

  async run(args, terminal) {
    const serviceAccount = args.value('service-account')
    if (serviceAccount === undefined) {
      throw new UsageError('weft token create needs --service-account NAME: whose it is')
    }
    const who = { namespace: args.value('namespace') ?? 'default', serviceAccount }
    checkName('namespace', who.namespace)
    checkName('service-account', serviceAccount)
    const made =
      args.value('key') === undefined
        ? await ask(who, args, terminal)
        : await sign(who, args, terminal)
    terminal.out(args.flag('json') ? `${JSON.stringify(made)}\n` : `${made.token}\n`)
    return 0
  },
}

interface Who {
  readonly namespace: string
  readonly serviceAccount: string
}

function orderOf(args: Arguments): {
  readonly audiences: readonly string[]
  readonly ttlMs: number
} {
  const audiences = args.list('audience')
  const ttl = args.value('ttl') ?? DEFAULT_TTL
  const ttlMs = parseDurationMs(ttl)
  if (ttlMs === undefined || ttlMs < 1_000) {
    throw new UsageError(`--ttl must be a duration from 1s, such as 10m, got '${ttl}'`)
  }
  return { audiences: audiences.length === 0 ? [DEFAULT_AUDIENCE] : audiences, ttlMs }
}

async function ask(who: Who, args: Arguments, terminal: Terminal): Promise<Made> {
  const { audiences, ttlMs } = orderOf(args)
  if (args.value('issuer') !== undefined) throw new UsageError('--issuer belongs to --key')
  const control = args.value('control') ?? DEFAULT_XDS
  if (isTlsAddress(control)) {
    throw new UsageError(
      `--control ${control} is TLS: ask on the control plane's own machine, or use \`weft agent\``,
    )
  }
  const target = parseConnect('control', control)
  const proof = await proofOf(args, target, terminal)
  const { askToken } = await import('@weft/proxy')
  const lifetimeSeconds = Math.floor(ttlMs / 1_000)
  const answer = await askToken({ target, proof, ...who, audiences, lifetimeSeconds }, terminal)
  if (!answer.ok) {
    if (answer.isUnreachable) throw unreachable(control, answer.problem, terminal)
    throw new CommandError(`Cannot get a token from ${control}: ${answer.problem}`)
  }
  const leftMs = answer.notAfterMs - terminal.clock.nowMs()
  if (leftMs < ttlMs - 60_000) {
    terminal.err(
      `The control plane gives tokens for ${Math.round(leftMs / 60_000)} minutes at most.\n`,
    )
  }
  return {
    token: answer.token,
    id: answer.id,
    expiresAt: new Date(answer.notAfterMs).toISOString(),
  }
}

async function proofOf(
  args: Arguments,
  target: ReturnType<typeof parseConnect>,
  terminal: Terminal,
): Promise<string> {
  const joinToken = args.value('join-token') ?? terminal.env.WEFT_JOIN_TOKEN
  // Behind the @ is the hash of a root, which nobody needs in plaintext.
  if (joinToken !== undefined && joinToken !== '') return joinToken.replace(/@sha256:.*$/, '')
  if ('path' in target || !isLoopback(target)) {
    throw new UsageError('--join-token must say who this is: the control plane is not on loopback')
  }
  const file = bootstrapFile(terminal, target)
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch (cause) {
    const where = `${target.host}:${target.port}`
    throw unreachable(where, 'none of this user has left its secret', terminal, cause)
  }
}

function unreachable(where: string, why: string, { env }: Terminal, cause?: unknown): CommandError {
  return new CommandError(`Cannot reach a control plane at ${where} (${why})`, EXIT_UNREACHABLE, {
    cause,
    hint: `Start one with \`${howToCallWeft(env)} up\`, or name another with --control`,
  })
}

async function sign(who: Who, args: Arguments, terminal: Terminal): Promise<Made> {
  const { audiences, ttlMs } = orderOf(args)
  const issuer = args.value('issuer')
  const file = args.value('key')
  if (issuer === undefined || file === undefined) {
    throw new UsageError('--key needs --issuer NAME: what brokers know the key by')
  }
  const { signToken } = await import('../run/sign-token.ts')
  const nowMs = terminal.clock.nowMs()
  const order = { ...who, issuer, audiences, nowMs, lifetimeMs: ttlMs }
  return signToken(resolve(terminal.cwd, file), order)
}

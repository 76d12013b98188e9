import type { Destination } from '../access/destination.ts'
import type { Arguments } from '../arguments.ts'
import { type Command, UsageError } from '../command.ts'
import { API_OPTIONS } from '../input/control-access.ts'
import { readScene } from '../input/scene.ts'
import { meshApiOf } from '../input/where-to-write.ts'
import type { Call } from '../simulate/call.ts'
import type { Terminal } from '../terminal/terminal.ts'

const EXIT_ASKED = 4

export const can: Command = {
  name: 'can',
  group: 'look into it',
  summary: 'say whether a call to a workload or service would be let in, and who decides that',
  synopsis:
    'NAMESPACE/NAME [--from NAMESPACE/SERVICEACCOUNT] [--path PATH] [-f FILE… | --control URL]',
  description: [
    'Asks the proxies of the workload, or of all workloads of the service: mutual TLS, tokens of end',
    'users, authorization policies. With -f nothing needs to run. Without --from the caller shows no',
    'identity. Several workloads: it is allowed where all of them allow it.',
    '',
    'With --json: {"allowed","decision" (allow, deny; custom: a provider is asked),"call",',
    '"authorization":{"policy","rule","because","origin","status","at"},"mtls":{"mode","plaintext"}}.',
  ].join('\n'),
  options: {
    from: {
      kind: 'value',
      placeholder: 'NAMESPACE/SERVICEACCOUNT',
      describe: 'who calls; a whole SPIFFE ID is fine, too',
    },
    path: { kind: 'value', placeholder: 'PATH', describe: 'with query (/)' },
    method: {
      kind: 'value',
      placeholder: 'METHOD',
      describe: 'of the request; GET when nothing is said',
    },
    host: {
      kind: 'value',
      placeholder: 'HOST',
      describe: 'in the request; the full name of the service when nothing is said',
    },
    header: { kind: 'list', placeholder: 'NAME=VALUE', describe: 'a line of the request' },
    port: { kind: 'value', placeholder: 'PORT', describe: 'of the service or the workload' },
    ip: { kind: 'value', placeholder: 'IP', describe: 'of the caller' },
    claim: {
      kind: 'list',
      placeholder: 'NAME=VALUE',
      describe: 'of the end user’s token, as if its issuer had signed it',
    },
    'user-token': { kind: 'value', placeholder: 'JWT', describe: 'the end user’s token as it is' },
    tcp: { kind: 'flag', describe: 'a connection, no request' },
    sni: { kind: 'value', placeholder: 'NAME', describe: 'server name of the TLS handshake' },
    plaintext: { kind: 'flag', describe: 'without mutual TLS, whoever calls' },
    file: {
      kind: 'list',
      short: 'f',
      placeholder: 'FILE',
      describe: 'answer from these files, without a control plane',
    },
    ...API_OPTIONS,
  },
  operands: { min: 1, max: 1 },
  exits: {
    0: 'it is allowed',
    1: 'it is denied',
    3: 'no control plane answers',
    [EXIT_ASKED]: 'a provider of MeshConfig would be asked; all the rest allows it',
  },
  examples: [
    'weft can shop/cart --from shop/web --path /items',
    'weft can a/pay -f mesh/ --from a/web --method POST --path /x --claim group=admin --json',
  ],

  async run(args, terminal) {
    const name = args.operands[0] ?? ''
    const destinations = await destinationsOf(name, args, terminal)
    const { DestinationJudge, strictest } = await import('../access/authorize-call.ts')
    const call = await callOf(name, args, destinations[0]?.trustDomain ?? 'cluster.local')
    const found = strictest(destinations.map((one) => new DestinationJudge(one).ask(call)))
    if (found === undefined) throw new UsageError(`weft can knows no workload or service ${name}`)
    const { authorization, mtls } = found
    const { decision } = authorization
    if (args.flag('json')) {
      const asked = {
        to: name,
        from: call.source?.principal ?? null,
        method: call.method,
        host: call.host,
        path: call.path,
        port: found.port,
        protocol: call.protocol,
      }
      const answer = { allowed: decision === 'allow', decision, call: asked, authorization, mtls }
      terminal.out(`${JSON.stringify(answer)}\n`)
    } else {
      const { renderAccess } = await import('../access/render.ts')
      terminal.out(renderAccess(name, call, found, terminal.style))
    }
    return { allow: 0, deny: 1, custom: EXIT_ASKED }[decision]
  },
}

async function destinationsOf(
  name: string,
  args: Arguments,
  terminal: Terminal,
): Promise<readonly Destination[]> {
  const paths = args.list('file')
  if (paths.length === 0) {
    const { liveDestinations } = await import('../access/live-mesh.ts')
    return liveDestinations(await meshApiOf(args, terminal), name)
  }
  const { meshView } = await import('../access/mesh-view.ts')
  return meshView(await readScene(paths, terminal)).destinations(name)
}

async function callOf(name: string, args: Arguments, trustDomain: string): Promise<Call> {
  const [first = '', second] = name.split('/')
  const [namespace, service] = second === undefined ? ['default', first] : [first, second]
  const from = args.value('from')
  const port = args.port('port')
  const claims = claimsOf(args)
  const isPlain = args.flag('plaintext')
  const source = {
    ...(from === undefined ? {} : { principal: principalOf(from, trustDomain) }),
    ...(args.value('ip') === undefined ? {} : { ip: args.value('ip') }),
  }
  const { parseCalls } = await import('../simulate/call.ts')
  const { CallError } = await import('../simulate/call-error.ts')
  const text = JSON.stringify({
    protocol: args.flag('tcp') ? 'tcp' : 'http',
    host: args.value('host') ?? `${service}.${namespace}.svc.cluster.local`,
    path: args.value('path') ?? '/',
    method: args.value('method') ?? 'GET',
    headers: headersOf(args),
    source,
    ...(port === undefined ? {} : { port }),
    ...(isPlain ? { tls: 'plaintext' } : {}),
    ...(args.value('sni') === undefined ? {} : { sni: args.value('sni') }),
    ...(claims === undefined ? {} : { jwt: claims }),
    ...(args.value('user-token') === undefined ? {} : { token: args.value('user-token') }),
  })
  try {
    const [call] = parseCalls(text).calls
    if (call === undefined) throw new Error('Cannot build a call: one object is one call')
    return call
  } catch (error) {
    throw error instanceof CallError ? new UsageError(error.message) : error
  }
}

/** `shop/web` is a service account of the mesh; everything longer is taken as it is. */
function principalOf(text: string, trustDomain: string): string {
  const parts = text.split('/')
  if (parts.length > 2) return text
  const [first = '', second] = parts
  const [namespace, account] = second === undefined ? ['default', first] : [first, second]
  return `${trustDomain}/ns/${namespace}/sa/${account}`
}

/** Lines of one name stay apart. */
function headersOf(args: Arguments): Readonly<Record<string, readonly string[]>> {
  const lines: Record<string, string[]> = {}
  for (const text of args.list('header')) {
    const at = text.search(/[=:]/)
    if (at < 1) throw new UsageError(`--header must look like name=value, got '${text}'`)
    const name = text.slice(0, at).trim().toLowerCase()
    lines[name] = [...(lines[name] ?? []), text.slice(at + 1).trim()]
  }
  return lines
}

/** A claim that is given twice is a list. */
function claimsOf(args: Arguments): Readonly<Record<string, unknown>> | undefined {
  const given = args.list('claim')
  if (given.length === 0) return undefined
  const claims: Record<string, unknown> = {}
  for (const text of given) {
    const at = text.indexOf('=')
    if (at < 1) throw new UsageError(`--claim must look like name=value, got '${text}'`)
    const name = text.slice(0, at)
    const value = text.slice(at + 1)
    const before = claims[name]
    claims[name] =
      before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value]
  }
  return claims
}

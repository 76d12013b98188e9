import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { parseDurationMs } from '@weft/base'
import type { Grant } from '@weft/control'
import type { Arguments } from '../arguments.ts'
import { type Command, UsageError } from '../command.ts'
import { API_OPTIONS, apiTargetOf, type Login, loginFile } from '../input/control-access.ts'
import { MeshApi } from '../mesh-api.ts'
import { columns } from '../terminal/columns.ts'
import type { Terminal } from '../terminal/terminal.ts'

const VERBS = [
  'whoami',
  'can',
  'create-token',
  'list-tokens',
  'revoke-token',
  'login',
  'logout',
  'log',
] as const
const ROLES = ['viewer', 'operator', 'admin'] as const
const DEFAULT_ENTRIES = '50'

interface Call {
  readonly args: Arguments
  readonly terminal: Terminal
  readonly api: MeshApi
  /** What follows the verb. */
  readonly operand: string | undefined
  /** JSON or text, as the caller wants. */
  tell(value: unknown, text: string): number
}

export const auth: Command = {
  name: 'auth',
  group: 'look into it',
  summary: 'say who you are to a control plane and what you may do; tokens for operators',
  synopsis: `[${VERBS.join('|')}] [options]`,
  description: [
    'Whoever runs the control plane is its admin on the same machine and needs nothing. Others bring a',
    'token (`create-token` prints it once), or a client certificate over TLS. What they may do is said by',
    'roles: viewer sees, operator changes objects, admin hands out tokens and, in all namespaces, has',
    'the CA. A token has the role of --role, in the namespaces of --namespace or in all of them, and what',
    "the control plane's --operators file gives to its user and groups.",
    '`can ACTION` asks whether you may, e.g. `weft auth can objects.apply -n shop`; exit code 1 is no.',
    '`login` keeps a token for --control in your home directory (0600); `log` shows who changed what.',
  ].join('\n'),
  options: {
    ...API_OPTIONS,
    user: { kind: 'value', placeholder: 'NAME', describe: 'create-token: whose it is' },
    group: { kind: 'list', placeholder: 'NAME', describe: 'create-token: a group of the user' },
    role: {
      kind: 'value',
      placeholder: 'ROLE',
      describe: 'create-token: viewer, operator or admin',
      choices: ROLES,
    },
    namespace: {
      kind: 'list',
      short: 'n',
      placeholder: 'NAME',
      describe: 'create-token: where the role holds (all); can: where to do it (all)',
    },
    ttl: { kind: 'value', placeholder: 'DURATION', describe: 'create-token: how long (for ever)' },
    limit: {
      kind: 'value',
      placeholder: 'N',
      describe: `log: how many of the newest (${DEFAULT_ENTRIES})`,
    },
  },
  operands: { min: 0, max: 2, choices: VERBS },
  exits: { 1: 'can: no; otherwise it failed', 3: 'no control plane answers' },
  examples: [
    'weft auth whoami',
    'weft auth can objects.apply -n shop',
    'weft auth create-token --user ci --role operator -n shop --ttl 720h',
    'weft auth revoke-token 3f9c2a1b7d04',
    'weft auth login --control https://mesh.example:15443 --ca-file roots.pem --token-file token',
    'weft auth log --json',
  ],

  async run(args, terminal) {
    const [verb = 'whoami', operand] = args.operands
    const isJson = args.flag('json')
    const call: Call = {
      args,
      terminal,
      api: new MeshApi(await apiTargetOf(args, terminal)),
      operand,
      tell(value, text) {
        terminal.out(isJson ? `${JSON.stringify(value)}\n` : text)
        return 0
      },
    }
    return await HANDLERS[verb as (typeof VERBS)[number]](call)
  },
}

const HANDLERS: Readonly<Record<(typeof VERBS)[number], (call: Call) => Promise<number>>> = {
  whoami,
  can,
  'create-token': createToken,
  'list-tokens': listTokens,
  'revoke-token': revokeToken,
  login,
  logout,
  log,
}

async function whoami({ api, tell }: Call): Promise<number> {
  const who = await api.whoami()
  const roles = who.grants.map((grant) => `  ${renderGrant(grant)}\n`)
  const none = '  no role: you may do nothing here\n'
  const head = `${who.user} (by ${who.proof}), groups: ${who.groups.join(', ') || 'none'}\n`
  return tell(who, `${head}${roles.join('') || none}`)
}

async function can({ api, args, operand, tell }: Call): Promise<number> {
  if (operand === undefined) {
    throw new UsageError('weft auth can needs an action: weft auth can objects.apply -n shop')
  }
  const judged = await api.can(operand, args.value('namespace'))
  tell(judged, judged.allowed ? 'yes\n' : `no: ${judged.reason}\n`)
  return judged.allowed ? 0 : 1
}

async function createToken({ api, args, tell }: Call): Promise<number> {
  const user = args.value('user')
  if (user === undefined) throw new UsageError('weft auth create-token needs --user NAME')
  const role = args.value('role')
  const namespaces = args.list('namespace')
  if (role === undefined && namespaces.length > 0) {
    throw new UsageError('--namespace says where --role holds: add --role')
  }
  const ttl = args.value('ttl')
  const ttlMs = ttl === undefined ? undefined : parseDurationMs(ttl)
  if (ttl !== undefined && ttlMs === undefined) {
    throw new UsageError(`--ttl must be a duration such as 12h or 720h, got '${ttl}'`)
  }
  const made = await api.createOperatorToken({
    user,
    groups: args.list('group'),
    ...(role === undefined ? {} : { role }),
    ...(namespaces.length === 0 ? {} : { namespaces }),
    ...(ttlMs === undefined ? {} : { ttlSeconds: ttlMs / 1_000 }),
  })
  return tell(made, `${made.token}\n`)
}

async function listTokens({ api, tell }: Call): Promise<number> {
  const tokens = await api.operatorTokens()
  const rows = tokens.map(({ id, user, groups, grant, createdBy, expiresAtMs }) => [
    id,
    user,
    groups.join(', ') || '-',
    grant === undefined ? 'by bindings' : renderGrant(grant),
    createdBy,
    expiresAtMs === undefined ? 'it is revoked' : new Date(expiresAtMs).toISOString(),
  ])
  const table = columns([['ID', 'USER', 'GROUPS', 'ROLE', 'MADE BY', 'UNTIL'], ...rows])
  return tell({ tokens }, rows.length === 0 ? 'There are no operator tokens.\n' : table)
}

async function revokeToken({ api, operand, tell }: Call): Promise<number> {
  if (operand === undefined) throw new UsageError('weft auth revoke-token needs the id of a token')
  await api.revokeOperatorToken(operand)
  return tell({ revoked: operand }, `operator token ${operand} revoked\n`)
}

/** Kept only when the control plane knows it. */
async function login({ args, terminal, tell }: Call): Promise<number> {
  const { url, token, ca } = await apiTargetOf(args, terminal)
  if (url === undefined || token === undefined) {
    throw new UsageError('weft auth login needs --control URL and --token-file FILE')
  }
  const kept: Login = { token, ...(ca === undefined ? {} : { ca }) }
  const { user } = await new MeshApi({ url, ...kept }).whoami()
  const file = loginFile(url, terminal)
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  // A file that is there keeps its mode, whatever it is.
  await rm(file, { force: true })
  await writeFile(file, `${JSON.stringify(kept)}\n`, { mode: 0o600, flag: 'wx' })
  return tell(
    { user, control: url.origin, file },
    `You are ${user} at ${url.origin} from now on.\n`,
  )
}

async function logout({ args, terminal, tell }: Call): Promise<number> {
  const { url } = await apiTargetOf(args, terminal)
  if (url === undefined) throw new UsageError('weft auth logout needs --control URL')
  await rm(loginFile(url, terminal), { force: true })
  return tell({ control: url.origin }, `No token is kept for ${url.origin}.\n`)
}

async function log({ api, args, tell }: Call): Promise<number> {
  const text = args.value('limit') ?? DEFAULT_ENTRIES
  if (!/^[1-9]\d{0,3}$/.test(text)) {
    throw new UsageError(`--limit must be 1 to 1000, got '${text}'`)
  }
  const entries = await api.audit(Number(text))
  const rows = entries.map(({ time, user, from, action, subjects, status }) => [
    time,
    user,
    from,
    action,
    status < 300 ? 'done' : String(status),
    subjects.join(', '),
  ])
  const table = columns([['TIME', 'USER', 'FROM', 'ACTION', 'OUTCOME', 'WHAT'], ...rows])
  return tell({ entries }, rows.length === 0 ? 'Nothing was changed since the start.\n' : table)
}

function renderGrant({ role, namespaces }: Grant): string {
  return `${role} in ${namespaces === 'all' ? 'all namespaces' : namespaces.join(', ')}`
}

import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import type { CaStatus } from '@weft/control'
import type { Arguments } from '../arguments.ts'
import { type Command, CommandError, UsageError } from '../command.ts'
import { API_OPTIONS } from '../input/control-access.ts'
import { meshApiOf } from '../input/where-to-write.ts'
import type { MeshApi } from '../mesh-api.ts'
import { CA_OPTIONS, passphraseOf } from '../run/ca-options.ts'
import { columns } from '../terminal/columns.ts'
import type { Style } from '../terminal/style.ts'
import type { Terminal } from '../terminal/terminal.ts'

export const ca: Command = {
  name: 'ca',
  group: 'look into it',
  summary: "show the mesh's CA, rotate its root, take or give another",
  synopsis: '[status|rotate|import FILE…|export] [options]',
  description: [
    '`rotate` begins the way to a new root: everybody is told it, then certificates are made under it,',
    'then the old one is retired, each step only when nobody would be cut off. `status` says how far',
    "that is and who it waits for. `import` takes Istio's files (a folder of them, or each by name).",
    '`export` prints the trusted roots; with --keys, the CA itself out of its folder (--state).',
  ].join('\n'),
  options: {
    ...API_OPTIONS,
    abandon: { kind: 'flag', describe: 'rotate: go back, while nobody has a new certificate' },
    keys: { kind: 'flag', describe: 'export: the private keys too, into the folder --out' },
    spiffe: {
      kind: 'flag',
      describe: 'export: as a SPIFFE bundle, with the keys of JWT-SVIDs, for other trust domains',
    },
    state: {
      kind: 'value',
      placeholder: 'DIR',
      describe: "export --keys: the control plane's state",
    },
    out: {
      kind: 'value',
      placeholder: 'DIR',
      describe: 'export --keys: where to write; made 0700',
    },
    'ca-passphrase-file': CA_OPTIONS['ca-passphrase-file'],
  },
  operands: {
    min: 0,
    max: Number.POSITIVE_INFINITY,
    choices: ['status', 'rotate', 'import', 'export'],
  },
  exits: { 1: 'the CA needs you, or refuses: the message says why', 3: 'no control plane answers' },
  examples: [
    'weft ca status',
    'weft ca rotate',
    'weft ca import cacerts/',
    'weft ca export > roots.pem',
    'weft ca export --spiffe > east.json',
    'weft ca export --keys --state /var/lib/weft --out cacerts/',
  ],

  async run(args, terminal) {
    const [verb = 'status', ...files] = args.operands
    const api = await meshApiOf(args, terminal)
    if (verb === 'export') {
      if (args.flag('keys')) return exportKeys(args, terminal)
      if (args.flag('spiffe')) {
        terminal.out(`${JSON.stringify(await api.spiffeBundle(), undefined, 1)}\n`)
        return 0
      }
      const pem = await api.caBundle()
      terminal.out(args.flag('json') ? `${JSON.stringify({ bundle: pem })}\n` : pem)
      return 0
    }
    const status = await outcomeOf(verb, files, args, terminal, api)
    if (args.flag('json')) terminal.out(`${JSON.stringify(status)}\n`)
    else terminal.out(renderCa(status, terminal.style))
    return status.state === 'ok' ? 0 : 1
  },
}

async function outcomeOf(
  verb: string,
  files: readonly string[],
  args: Arguments,
  terminal: Terminal,
  api: MeshApi,
): Promise<CaStatus> {
  if (verb === 'rotate') return api.rotateCa(args.flag('abandon'))
  if (verb !== 'import') return api.caStatus()
  if (files.length === 0) throw new UsageError('weft ca import needs a folder or files')
  return api.importCa(await readFiles(files, terminal))
}

async function readFiles(
  paths: readonly string[],
  { cwd }: Terminal,
): Promise<Readonly<Record<string, string>>> {
  const { isOwnCaFile } = await import('@weft/control')
  const files: Record<string, string> = {}
  try {
    for (const path of paths) {
      const full = resolve(cwd, path)
      const isFolder = (await stat(full)).isDirectory()
      const found = isFolder ? (await readdir(full)).map((name) => join(full, name)) : [full]
      for (const file of found.filter((one) => isOwnCaFile(basename(one)))) {
        files[basename(file)] = await readFile(file, 'utf8')
      }
    }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError(`Cannot read the CA's files: ${why}`, 'unreadable', { cause })
  }
  if (Object.keys(files).length > 0) return files
  throw new UsageError('none of the files is called ca-cert.pem, ca-key.pem, root-cert.pem, …')
}

/** Over no port: whoever may read the folder has the keys already. */
async function exportKeys(args: Arguments, terminal: Terminal): Promise<number> {
  const state = args.value('state')
  const out = args.value('out')
  if (state === undefined || out === undefined) {
    throw new UsageError('weft ca export --keys needs --state DIR and --out DIR')
  }
  const { exportCaKeys } = await import('@weft/control')
  const folder = resolve(terminal.cwd, out)
  try {
    const files = await exportCaKeys(
      join(resolve(terminal.cwd, state), 'ca'),
      await passphraseOf(args, terminal),
    )
    await mkdir(folder, { recursive: true, mode: 0o700 })
    for (const [name, text = ''] of Object.entries(files)) {
      await writeFile(join(folder, name), text, { mode: 0o600, flag: 'wx' })
    }
    const names = Object.keys(files)
    terminal.out(
      args.flag('json')
        ? `${JSON.stringify({ folder, files: names })}\n`
        : `${names.map((name) => join(out, name)).join('\n')}\n`,
    )
    return 0
  } catch (cause) {
    throw new CommandError(cause instanceof Error ? cause.message : String(cause), 1, { cause })
  }
}

const STAGES = {
  steady: 'no rotation under way',
  distributing: 'the new root is being told to everybody; certificates still lead to the old one',
  switched: 'certificates lead to the new root; the old one is trusted until nobody needs it',
}

function renderCa(status: CaStatus, { red, green, bold }: Style): string {
  const { state, problems, trustDomain, roots, rotation, issued, holders } = status
  const lines = [
    `${bold('CA')} of ${trustDomain}: ${state === 'ok' ? green(state) : red(state)}`,
    ...problems.map((problem) => `  ${red(problem)}`),
  ]
  const table = columns([
    ['ROOT', 'ROLE', 'UNTIL', 'SHA-256'],
    ...roots.map(({ keyId, role, notAfter, sha256 }) => [
      keyId.slice(0, 16),
      role,
      notAfter,
      sha256,
    ]),
  ])
  const waiting = rotation.waitingFor.map(
    ({ holder, lacks }) => `  waits for ${holder}: no ${lacks}`,
  )
  const { earliestStep } = rotation
  const { upstream } = status
  const facts = [
    ...(upstream === undefined
      ? []
      : [
          `upstream CA ${upstream.address}: ${upstream.state}, ${upstream.signed} signed since the start${upstream.lastSigned === undefined ? '' : `, the last at ${upstream.lastSigned}`}`,
        ]),
    ...(status.signerNotAfter === undefined ? [] : [`signs until ${status.signerNotAfter}`]),
    `rotation: ${rotation.stage} (${STAGES[rotation.stage]}), bundle version ${rotation.bundleVersion}`,
    ...(earliestStep === undefined ? [] : [`  goes on at ${earliestStep} at the earliest`]),
    ...waiting,
    `certificates: ${issued.total} issued since the start, ${issued.living} proxies with a living one, ${holders.length} of them connected`,
  ]
  return `${lines.join('\n')}\n${roots.length === 0 ? '' : table}${facts.join('\n')}\n`
}

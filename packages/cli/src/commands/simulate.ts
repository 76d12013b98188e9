import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type Command, UsageError } from '../command.ts'
import { errorsOf, readScene } from '../input/scene.ts'
import { type Call, type Form, parseCalls } from '../simulate/call.ts'
import { CallError } from '../simulate/call-error.ts'
import { SIMULATION_ERRORS, type SimulationResult } from '../simulate/result.ts'
import type { Terminal } from '../terminal/terminal.ts'

export const simulate: Command = {
  name: 'simulate',
  group: 'look into it',
  summary: 'say what a proxy would do with a call, without sockets',
  synopsis:
    '-f FILE… [--from NAMESPACE/WORKLOAD] [--inbound NAMESPACE/WORKLOAD] --call JSON|@FILE|- [--json]',
  description: [
    'Builds from the files what a control plane would send to the proxy, and decides the call as that',
    'proxy would. --from names the calling workload (one whose labels match a Gateway is that gateway);',
    'without it the call comes from outside: to the gateway that listens on its port, else to a sidecar',
    'in namespace default.',
    '',
    'A call: {"address","port","protocol","method","host","path","headers"}, besides "tls"',
    '(plaintext, tls, mtls), "sni", "alpn", "direction" (outbound, inbound), "sourceIp", and who calls:',
    '"source":{"principal","namespace","ip"}, "destination":{"ip","port"}, "jwt":{claims} as if an',
    'issuer that is believed had signed them, or "token" as it is. --inbound asks the listener of the',
    'workload that is called; without it both sides are asked, the caller first. All are optional. Several calls: an array, or one object a line; the answers have the same form.',
    '',
    'An answer: {"listener","virtualHost","route","cluster","rewritten","redirect","directResponse",',
    '"error","because"}, besides "clusters" (all of a split, with weights), "mirrors", "fault",',
    '"timeoutMs", "retries", "routeTable", "filterChain"; "authorization":{"decision" (allow, deny;',
    'custom: a provider decides),"policy","rule","because","origin","status","details","at"};',
    `"mtls":{"mode","policy","plaintext" (accepted, refused),"because","call"}. Errors: ${SIMULATION_ERRORS.join(', ')}.`,
  ].join('\n'),
  options: {
    file: {
      kind: 'list',
      short: 'f',
      placeholder: 'FILE',
      describe: 'file, folder, glob or - with configuration',
    },
    from: { kind: 'value', placeholder: 'NAMESPACE/WORKLOAD', describe: 'the calling workload' },
    inbound: {
      kind: 'value',
      placeholder: 'NAMESPACE/WORKLOAD',
      describe: 'ask the side of the workload that is called',
    },
    call: {
      kind: 'list',
      short: 'c',
      placeholder: 'JSON',
      describe: 'the call, @FILE, or - for standard input',
    },
  },
  operands: { min: 0, max: Number.POSITIVE_INFINITY },
  exits: { 0: 'answered; a call that gets nowhere is an answer too' },
  examples: [
    `weft simulate -f mesh/ --from default/productpage --call '{"host":"reviews","port":9080}'`,
    `weft simulate -f mesh/ --call '{"host":"shop.example.com","path":"/cart"}' --json`,
    `weft simulate -f mesh/ --inbound a/pay --call '{"path":"/x","source":{"principal":"cluster.local/ns/a/sa/web"}}'`,
  ],

  async run(args, terminal) {
    const paths = [...args.list('file'), ...args.operands]
    const given = args.list('call')
    if (paths.length === 0) throw new UsageError('weft simulate needs configuration: -f FILE')
    if (given.length === 0) {
      throw new UsageError(`weft simulate needs a call: --call '{"host":"reviews","port":9080}'`)
    }
    if (paths.includes('-') && given.includes('-')) {
      throw new UsageError('standard input can hold the files or the call, not both')
    }
    const { calls, form } = await readCalls(given, terminal)
    const scene = await readScene(paths, terminal)
    const { simulatorOf } = await import('../simulate/simulate.ts')
    const { renderSimulation } = await import('../simulate/render.ts')
    const simulator = simulatorOf(scene)
    // What is invalid is refused by a control plane too: the answer is that of the rest.
    const leftOut = errorsOf(scene).map(
      ({ file, line, object, message }) =>
        `left out, since invalid: ${object === undefined ? '' : `${object.kind} ${object.namespace}/${object.name} `}(${file}:${line}): ${message}`,
    )
    const results = calls.map((call) => {
      const to = args.value('inbound')
      const from = args.value('from')
      const result =
        to === undefined ? simulator.answer(call, from) : simulator.arrive(call, to, from)
      return { ...result, because: [...leftOut, ...result.because] }
    })
    if (args.flag('json')) terminal.out(renderJson(results, form))
    else {
      const answers = calls.map((call, i) =>
        renderSimulation(call, results[i] as SimulationResult, terminal.style),
      )
      terminal.out(answers.join('\n'))
    }
    return 0
  },
}

async function readCalls(
  given: readonly string[],
  terminal: Terminal,
): Promise<{ readonly calls: readonly Call[]; readonly form: Form }> {
  const calls: Call[] = []
  let form: Form = 'one'
  for (const text of given) {
    const parsed = parseOrRefuse(await readCallText(text, terminal))
    calls.push(...parsed.calls)
    form = given.length > 1 ? 'array' : parsed.form
  }
  return { calls, form }
}

async function readCallText(given: string, terminal: Terminal): Promise<string> {
  if (given === '-') return terminal.readStdin()
  if (!given.startsWith('@')) return given
  const path = given.slice(1)
  try {
    return await readFile(resolve(terminal.cwd, path), 'utf8')
  } catch {
    throw new UsageError(`Cannot read the call: there is no file ${path}`, 'unreadable')
  }
}

function parseOrRefuse(text: string): { readonly calls: readonly Call[]; readonly form: Form } {
  try {
    return parseCalls(text)
  } catch (error) {
    throw error instanceof CallError ? new UsageError(error.message) : error
  }
}

function renderJson(results: readonly SimulationResult[], form: Form): string {
  const lines = results.map((result) => JSON.stringify(result))
  return form === 'array' ? `[${lines.join(',\n ')}]\n` : lines.map((line) => `${line}\n`).join('')
}

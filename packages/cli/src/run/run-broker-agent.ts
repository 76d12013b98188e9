/**
 * An application that dials out: links first, application second, one end.
 *
 *     open proxy and links ─► start CMD ─► relay signals ─► CMD ends ─► exit with its code
 *
 * Without CMD the application is somebody else's, and a signal ends the agent.
 */
import { unlink } from 'node:fs/promises'
import { connect } from 'node:net'
import type { LogScopes } from '@weft/base'
import { HttpAgent } from '@weft/broker'
import { CommandError } from '../command.ts'
import { firstSignal, type Terminal } from '../terminal/terminal.ts'
import type { BrokerAgentRun } from './broker-agent-options.ts'
import { childEnvironment, startChild } from './child.ts'
import { reportReady } from './report-ready.ts'

/** What requests under way may take once the agent is to end. */
const DRAIN_MS = 10_000

/** @returns The command's exit code, or 0. */
export async function runBrokerAgent(
  run: BrokerAgentRun,
  terminal: Terminal,
  logs: LogScopes,
): Promise<number> {
  const { application } = run.agent
  if (application !== undefined && 'path' in application && run.command.length > 0) {
    await clearStaleSocket(application.path)
  }
  const reporter = new Reporter(run, terminal)
  const linked = Promise.withResolvers<void>()
  const agent = new HttpAgent(run.agent, {
    clock: terminal.clock,
    random: terminal.random,
    log: logs.logger('agent'),
    onChange: () => {
      reporter.report(agent)
      if (agent.status().links.some(({ isUp }) => isUp)) linked.resolve()
    },
  })
  try {
    await agent.open()
  } catch (error) {
    agent.close()
    const why = error instanceof Error ? error.message : String(error)
    throw new CommandError(`Cannot open the HTTP proxy of the agent: ${why}`, 1, { cause: error })
  }
  const cancelPatience = terminal.clock.after(PATIENCE_MS, () => {
    reporter.complain(agent)
    linked.resolve()
  })
  try {
    if (run.command.length === 0) return await untilSignal(agent, terminal)
    // Who calls at once is to find a way out; who only answers has time.
    if (agent.outbound !== undefined) await linked.promise
    return await withCommand(run, agent, terminal)
  } finally {
    cancelPatience()
    agent.close()
  }
}

/** After so long without a broker somebody should hear of it, and the command waits no longer. */
const PATIENCE_MS = 3_000

async function untilSignal(agent: HttpAgent, terminal: Terminal): Promise<number> {
  await firstSignal(terminal, () => process.exit(130))
  await agent.drain(DRAIN_MS)
  return 0
}

async function withCommand(
  run: BrokerAgentRun,
  agent: HttpAgent,
  terminal: Terminal,
): Promise<number> {
  const { outbound } = agent
  const facts = Object.fromEntries(
    Object.entries(run.facts).filter(([, value]) => value !== undefined),
  )
  const env =
    outbound === undefined
      ? { ...terminal.env, ...facts }
      : childEnvironment(terminal.env, {
          outboundPort: outbound.port,
          appPort: undefined,
          facts: { ...facts, WEFT_OUTBOUND: `http://${outbound.host}:${outbound.port}` },
        })
  const child = await startChild(run.command, env, terminal.cwd)
  let isLeaving = false
  const stopRelaying = terminal.onSignals((signal) => {
    if (signal !== 'SIGTERM' || isLeaving) {
      child.process.kill(signal)
      return
    }
    isLeaving = true
    // Its outbound calls go on until it ends: only what others ask is over.
    const end = () => void child.process.kill('SIGTERM')
    agent.rest(DRAIN_MS).then(end, end)
  })
  // Whatever ends this process, also a crash of it, ends the application.
  const killChild = () => void child.process.kill('SIGKILL')
  process.once('exit', killChild)
  const exitCode = await child.exitCode
  process.off('exit', killChild)
  stopRelaying()
  return exitCode
}

/** Says what changed, for people or, with --json, as one object a line. */
class Reporter {
  readonly #run: BrokerAgentRun
  readonly #terminal: Terminal
  #said = ''
  #wasReady = false

  constructor(run: BrokerAgentRun, terminal: Terminal) {
    this.#run = run
    this.#terminal = terminal
  }

  report(agent: HttpAgent): void {
    const { links, isApplicationUp } = agent.status()
    const isLinked = links.some(({ isUp }) => isUp)
    const isReady = isLinked && isApplicationUp !== false
    const proxy = agent.outbound
    const outbound = proxy && `http://${proxy.host}:${proxy.port}`
    if (isLinked && !this.#wasReady) {
      this.#wasReady = true
      reportReady({ kind: 'agent', ports: proxy === undefined ? {} : { outbound: proxy.port } })
    }
    const brokers = links.map(({ broker, isUp, problem }) => ({ broker, up: isUp, problem }))
    const facts = { ready: isReady, brokers, application: isApplicationUp, outbound }
    const text = this.#run.isJson
      ? JSON.stringify(facts)
      : sentence(brokers, isApplicationUp, outbound)
    if (text === this.#said) return
    this.#said = text
    if (this.#run.isJson || this.#run.command.length === 0) this.#terminal.out(`${text}\n`)
  }

  complain(agent: HttpAgent): void {
    const { links } = agent.status()
    if (links.some(({ isUp }) => isUp)) return
    const why = links.map(({ broker, problem }) => `${broker}: ${problem ?? 'no answer'}`)
    this.#terminal.err(`weft agent: no broker takes us yet, trying on; ${why.join('; ')}\n`)
  }
}

function sentence(
  brokers: readonly { readonly broker: string; readonly up: boolean }[],
  isApplicationUp: boolean | undefined,
  outbound: string | undefined,
): string {
  const up = brokers.filter(({ up }) => up).map(({ broker }) => broker)
  const parts = [
    up.length === 0
      ? 'Connected to no broker'
      : `Connected to ${up.join(', ')}${up.length < brokers.length ? ` (${up.length} of ${brokers.length})` : ''}`,
  ]
  if (isApplicationUp === false) parts.push('waiting for the application')
  if (isApplicationUp === true) parts.push('the application answers')
  if (outbound !== undefined) parts.push(`HTTP_PROXY=${outbound}`)
  return `${parts.join('; ')}.`
}

/** A socket file that nobody listens on is left from before, and the application could not bind. */
function clearStaleSocket(path: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve()
    })
    socket.once('error', ({ code }: NodeJS.ErrnoException) => {
      if (code !== 'ECONNREFUSED') resolve()
      else unlink(path).then(resolve, () => resolve())
    })
  })
}

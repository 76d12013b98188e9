/** An identity without a proxy, in a process of its own, until a signal. */
import type { LogScopes } from '@weft/base'
import { type Agent, type AgentOptions, startAgent } from '@weft/proxy'
import { CommandError } from '../command.ts'
import { firstSignal, type Terminal } from '../terminal/terminal.ts'
import { reportReady } from './report-ready.ts'

export async function runAgent(
  options: AgentOptions,
  { isJson }: { readonly isJson: boolean },
  terminal: Terminal,
  logs: LogScopes,
): Promise<number> {
  const stopped = firstSignal(terminal, () => process.exit(130))
  const agent = await openAgent(options, terminal, logs)
  const endpoint = `unix://${options.socketPath}`
  const { certificateDir } = options
  const say = (isReady: boolean, id?: string) => {
    const facts = { ready: isReady, endpoint, certificateDir, id }
    if (isJson) terminal.out(`${JSON.stringify(facts)}\n`)
    else if (isReady) terminal.out(`It is ${id}.\n`)
    else
      terminal.out(
        `The agent is up, SPIFFE_ENDPOINT_SOCKET=${endpoint}; it waits for its certificate.\n`,
      )
  }
  say(false)
  void agent.ready.then(() => {
    say(true, agent.status().id)
    reportReady({ kind: 'agent', ports: {} })
  })
  await stopped
  await agent.close()
  return 0
}

async function openAgent(
  options: AgentOptions,
  terminal: Terminal,
  logs: LogScopes,
): Promise<Agent> {
  const { clock, random } = terminal
  try {
    return await startAgent(options, { clock, random, logs })
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new CommandError(`Cannot start the agent: ${why}`, 1, { cause: error })
  }
}

/**
 * Tokens for dialling in to brokers, from the control plane of this machine's user: one whenever
 * one is needed, so that nobody has to renew them.
 */
import { readFile } from 'node:fs/promises'
import type { TokenSource } from '@weft/rsocket/link'
import type { Arguments } from '../arguments.ts'
import { UsageError } from '../command.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { DEFAULT_XDS, isLoopback, isTlsAddress, parseConnect } from './addresses.ts'
import { bootstrapFile } from './bootstrap.ts'
import { checkName } from './sidecar-options.ts'

const AUDIENCE = 'weft-broker'
const LIFETIME_SECONDS = 3_600

/** @throws {UsageError} When the control plane is not one that knows its user. */
export function controlTokens(
  args: Arguments,
  serviceAccount: string,
  terminal: Terminal,
): TokenSource {
  const control = args.value('control') ?? DEFAULT_XDS
  const namespace = args.value('namespace') ?? 'default'
  checkName('service-account', serviceAccount)
  const target = parseConnect('control', control)
  if (isTlsAddress(control) || 'path' in target || !isLoopback(target)) {
    throw new UsageError(
      `--control ${control} is not on loopback: show brokers a certificate (--identity-dir), or a token of \`weft token create --join-token\``,
    )
  }
  const file = bootstrapFile(terminal, target)
  return async () => {
    const proof = (await readFile(file, 'utf8')).trim()
    const { askToken } = await import('@weft/proxy')
    const order = { target, proof, namespace, serviceAccount, audiences: [AUDIENCE] }
    const answer = await askToken({ ...order, lifetimeSeconds: LIFETIME_SECONDS }, terminal)
    if (!answer.ok) throw new Error(`${control} gives no token: ${answer.problem}`)
    return answer.token
  }
}

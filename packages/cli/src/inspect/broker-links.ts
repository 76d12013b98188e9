/** Who is connected to a broker and what they allow, by its admin port. */
import { renderDuration } from '@weft/base'
import type { BrokerRow, LeaseRow, LinkRow } from '@weft/broker'
import { renderAddress, type SocketAddress } from '@weft/model'
import { CommandError, EXIT_UNREACHABLE } from '../command.ts'
import { callApi } from '../mesh-call.ts'
import { columns } from '../terminal/columns.ts'

/** @throws {CommandError} When no broker answers, or it does not know the caller. */
export async function askBroker(
  path: '/links' | '/leases' | '/filters',
  admin: SocketAddress,
  token: string | undefined,
): Promise<Readonly<Record<string, unknown>>> {
  const at = renderAddress(admin)
  const target = { url: new URL(`http://${at}`), ...(token === undefined ? {} : { token }) }
  const answer = await callApi(target, 'GET', path).catch((cause: unknown) => {
    throw new CommandError(`Cannot reach a broker at ${at}`, EXIT_UNREACHABLE, {
      cause,
      hint: 'Start one with `weft broker`, or say where its admin port is: --broker HOST:PORT',
    })
  })
  if (answer.status === 200) return JSON.parse(answer.text)
  const hint = 'Show the token of its admin port: --token-file FILE'
  throw new CommandError(`The broker at ${at} refuses: ${answer.text.trim()}`, 1, { hint })
}

/** @param brokers The others of the cluster; absent: the broker is alone. */
export function renderLinks(
  links: readonly LinkRow[],
  brokers: readonly BrokerRow[] | undefined,
): string {
  if (brokers === undefined) return renderClients(links)
  return `${renderClients(links)}\n${renderBrokers(brokers)}`
}

function renderBrokers(brokers: readonly BrokerRow[]): string {
  if (brokers.length === 0) return 'No other broker is known.\n'
  const rows = brokers.map((each) => [
    each.id,
    each.addr || '-',
    each.zone || '-',
    each.state,
    each.link,
    String(each.instances),
    String(each.streams),
    each.problem || '-',
  ])
  const head = ['BROKER', 'ADDRESS', 'ZONE', 'STATE', 'LINK', 'INSTANCES', 'STREAMS', 'PROBLEM']
  return columns([head, ...rows])
}

function renderClients(links: readonly LinkRow[]): string {
  if (links.length === 0) return 'Nobody is connected.\n'
  const rows = links.map((link) => [
    link.app === '' ? '-' : `${link.namespace}/${link.app}`,
    link.instance === '' ? '-' : link.instance,
    link.principal === '' ? 'anonymous' : link.principal.replace(/^spiffe:\/\//, ''),
    link.tls ? 'tls' : 'plain',
    String(link.streams),
    link.services.join(', ') || '-',
  ])
  return columns([['APP', 'INSTANCE', 'IDENTITY', 'BY', 'STREAMS', 'SERVICES'], ...rows])
}

export function renderLeases(leases: readonly LeaseRow[]): string {
  if (leases.length === 0) return 'Nobody who is connected uses leases.\n'
  const rows = leases.map(({ namespace, app, instance, permits, leftMs }) => [
    `${namespace}/${app}`,
    instance,
    String(permits),
    leftMs === 0 ? 'over' : renderDuration(leftMs),
  ])
  return columns([['APP', 'INSTANCE', 'PERMITS', 'FOR'], ...rows])
}

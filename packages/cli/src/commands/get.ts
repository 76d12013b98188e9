import type { BrokerRow, FilterRow, LeaseRow, LinkRow } from '@weft/broker'
import type { Resources } from '@weft/model'
import type { Arguments } from '../arguments.ts'
import { type Command, CommandError, UsageError } from '../command.ts'
import { API_OPTIONS } from '../input/control-access.ts'
import { readScene } from '../input/scene.ts'
import { meshApiOf } from '../input/where-to-write.ts'
import type { MeshApi } from '../mesh-api.ts'
import { parseAddress } from '../run/addresses.ts'
import type { Scene } from '../simulate/perspective.ts'
import type { Terminal } from '../terminal/terminal.ts'

const WHAT = [
  'services',
  'routes',
  'clusters',
  'endpoints',
  'listeners',
  'links',
  'leases',
  'filters',
] as const
type What = (typeof WHAT)[number]
type BrokerThing = 'links' | 'leases' | 'filters'
/** As `weft broker` opens its admin port. */
const DEFAULT_BROKER = '127.0.0.1:7880'

const TYPES = {
  routes: 'route',
  clusters: 'cluster',
  endpoints: 'endpoints',
  listeners: 'listener',
} as const

export const get: Command = {
  name: 'get',
  group: 'look into it',
  summary:
    'show what a workload’s proxy was told: services, routes, clusters, endpoints, listeners',
  synopsis: `${WHAT.join('|')} [--from NAMESPACE/WORKLOAD] [--control URL | -f FILE…] [--json]`,
  description: [
    'Asks the control plane; with -f nothing needs to run: the answer is what it would send.',
    'FROM names the object, the file and the line that made it so.',
    'links, leases and filters are of a broker, which is asked itself: who is connected, how many requests',
    'responders allow, and which filters look at streams.',
  ].join('\n'),
  options: {
    from: {
      kind: 'value',
      placeholder: 'NAMESPACE/WORKLOAD',
      describe: 'whose proxy; needed for all but services',
    },
    ...API_OPTIONS,
    file: {
      kind: 'list',
      short: 'f',
      placeholder: 'FILE',
      describe: 'answer from these files, without a control plane',
    },
    broker: {
      kind: 'value',
      placeholder: 'HOST:PORT',
      describe: `links, leases, filters: admin port of the broker (${DEFAULT_BROKER})`,
    },
    name: { kind: 'value', placeholder: 'TEXT', describe: 'only what has this text in its name' },
  },
  operands: { min: 1, max: Number.POSITIVE_INFINITY, choices: WHAT },
  exits: { 3: 'no control plane answers' },
  examples: [
    'weft get services',
    'weft get routes --from default/productpage-v1',
    'weft get clusters --from shop/cart -f mesh/ --json',
    'weft get links --broker 127.0.0.1:7880',
    'weft get filters --json',
  ],

  async run(args, terminal) {
    const what = whatOf(args)
    if (what === 'links' || what === 'leases' || what === 'filters')
      return showBroker(what, args, terminal)
    const from = args.value('from')
    if (what !== 'services' && from === undefined) {
      throw new UsageError(`weft get ${what} needs to know whose: --from default/productpage-v1`)
    }
    const scene = await offlineScene(args, terminal)
    const api = await meshApiOf(args, terminal)
    const text = args.value('name') ?? ''
    if (what === 'services') {
      const services = await readServices(scene, api)
      const shown = services.filter(({ host }) => host.includes(text))
      const { renderServices } = await import('../inspect/tables.ts')
      terminal.out(args.flag('json') ? `${JSON.stringify(shown)}\n` : renderServices(shown))
      return 0
    }
    const resources = await readResources(TYPES[what], from ?? '', scene, api)
    const shown = resources.filter(({ name }) => name.includes(text))
    terminal.out(
      args.flag('json') ? `${JSON.stringify(shown)}\n` : await renderResources(what, shown),
    )
    return 0
  },
}

async function showBroker(what: BrokerThing, args: Arguments, terminal: Terminal): Promise<number> {
  const admin = parseAddress('broker', args.value('broker') ?? DEFAULT_BROKER)
  const file = args.value('token-file')
  const { readTokenFile } = await import('../run/proxy-token.ts')
  const token = file === undefined ? args.value('token') : await readTokenFile(file, terminal)
  const { askBroker, renderLeases, renderLinks } = await import('../inspect/broker-links.ts')
  const answer = await askBroker(`/${what}`, admin, token)
  const text = args.value('name') ?? ''
  if (what === 'filters') {
    const filters = (answer.filters ?? []) as readonly FilterRow[]
    const shown = filters.filter(({ name }) => name.includes(text))
    const { renderFilters } = await import('../inspect/broker-filters.ts')
    terminal.out(args.flag('json') ? `${JSON.stringify(shown)}\n` : renderFilters(shown))
    return 0
  }
  const isWanted = ({ app }: { readonly app: string }) => app.includes(text)
  const links = ((answer.links ?? []) as readonly LinkRow[]).filter(isWanted)
  const leases = ((answer.leases ?? []) as readonly LeaseRow[]).filter(isWanted)
  const brokers = answer.brokers as readonly BrokerRow[] | undefined
  const table = () => (what === 'links' ? renderLinks(links, brokers) : renderLeases(leases))
  const rows = what === 'links' ? links : leases
  terminal.out(args.flag('json') ? `${JSON.stringify(rows)}\n` : table())
  return 0
}

function whatOf(args: Arguments): What {
  const what = WHAT.find((one) => one === args.operands[0])
  if (what === undefined) throw new UsageError(`weft get knows ${WHAT.join(', ')}`)
  return what
}

async function offlineScene(args: Arguments, terminal: Terminal): Promise<Scene | undefined> {
  const paths = [...args.list('file'), ...args.operands.slice(1)]
  return paths.length === 0 ? undefined : readScene(paths, terminal)
}

async function readServices(scene: Scene | undefined, api: MeshApi) {
  if (scene === undefined) return api.services()
  const { servicesOffline } = await import('../inspect/offline.ts')
  return servicesOffline(scene.documents)
}

async function readResources<T extends keyof Resources>(
  type: T,
  from: string,
  scene: Scene | undefined,
  api: MeshApi,
): Promise<readonly Resources[T][]> {
  if (scene === undefined) return api.resources(type, from)
  const { resourcesOffline } = await import('../inspect/offline.ts')
  return [...resourcesOffline(scene, from)[type].values()] as readonly Resources[T][]
}

async function renderResources(
  what: Exclude<What, 'services' | BrokerThing>,
  resources: readonly Resources[keyof Resources][],
): Promise<string> {
  const tables = await import('../inspect/tables.ts')
  switch (what) {
    case 'routes':
      return tables.renderRoutes(resources as readonly Resources['route'][])
    case 'clusters':
      return tables.renderClusters(resources as readonly Resources['cluster'][])
    case 'endpoints':
      return tables.renderEndpoints(resources as readonly Resources['endpoints'][])
    case 'listeners':
      return tables.renderListeners(resources as readonly Resources['listener'][])
    default:
      throw new CommandError(`Cannot show ${what satisfies never}`)
  }
}

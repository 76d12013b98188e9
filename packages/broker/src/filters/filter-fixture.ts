/** Test support: a broker with filters that stand in the test itself, or in files of a folder. */
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, realClock, silentLogger } from '@weft/base'
import type { RSocketPayload } from '@weft/wire'
import {
  type Answer,
  echo,
  type Fixture,
  type HelloOptions,
  openBroker,
  SILENT,
  type TestClient,
} from '../broker-fixture.ts'
import type { BrokerLimits } from '../limits.ts'
import type { BrokerFilter, FilterItem } from './filter.ts'
import { FilterHealth } from './filter-health.ts'
import { LoadedFilter } from './loaded-filter.ts'

/** As it would be after `load-filter.ts`. */
export function loadedOf(filter: BrokerFilter, clock: Clock = realClock): LoadedFilter {
  const { name = 'filter', phase = 'route', priority = 0, match = {}, needs = [] } = filter
  const { failStrategy = 'FAIL_CLOSE', timeoutMs = 1_000 } = filter
  const failsOpen = phase === 'observe' || failStrategy === 'FAIL_OPEN'
  const settings = { name, phase, priority, match, needs: new Set(needs), failsOpen, timeoutMs }
  return new LoadedFilter(settings, { filter, config: undefined }, new FilterHealth(), {
    clock,
    log: silentLogger,
  })
}

export interface FilteredBroker extends Fixture {
  readonly loaded: readonly LoadedFilter[]
  setFilters(filters: readonly BrokerFilter[]): void
}

/** Filters in the order given. */
export async function openFilteredBroker(
  filters: readonly BrokerFilter[],
  limits: Partial<BrokerLimits> = {},
): Promise<FilteredBroker> {
  const set = { chain: filters.map((each) => loadedOf(each)), version: 1 }
  const fixture = await openBroker({ limits }, { filters: set })
  return {
    ...fixture,
    dial: (hello?: HelloOptions) => fixture.dial(hello),
    get loaded() {
      return set.chain
    },
    setFilters(next) {
      set.chain = next.map((each) => loadedOf(each))
      set.version++
    },
  }
}

export interface FilterFolder {
  readonly path: string
  /** In one step, as editors and deployments do it. */
  write(name: string, text: string): Promise<void>
  remove(name: string): Promise<void>
  end(): Promise<void>
}

export async function filterFolder(): Promise<FilterFolder> {
  const path = await mkdtemp(join(tmpdir(), 'weft-filters-'))
  let count = 0
  return {
    path,
    async write(name, text) {
      const draft = join(path, `.draft-${++count}`)
      await writeFile(draft, text, { mode: 0o644 })
      await rename(draft, join(path, name))
    },
    remove: (name) => rm(join(path, name)),
    end: () => rm(path, { recursive: true, force: true }),
  }
}

// What clients say and hear

export const text = ({ data }: { readonly data: Uint8Array }) => Buffer.from(data).toString()
export const both = ['request-items', 'response-items'] as const

export function upperCase({ data }: FilterItem) {
  return { replace: { data: Buffer.from(text({ data }).toUpperCase()) } }
}

/** Answers with what it got, and tells the test. */
export function teller(told: string[], count = 2): Answer {
  return (stream, payload) => {
    told.push(`${stream.interaction} ${text(payload)}`)
    echo(count)(stream, payload)
  }
}

/** Says on a channel what it hears, as credit allows. */
export function repeat(stream: Parameters<Answer>[0]): void {
  const waiting: RSocketPayload[] = []
  let isComplete = false
  const say = () => {
    while (stream.credit > 0 && stream.maySend) {
      const next = waiting.shift()
      if (next === undefined) return
      stream.next({ data: next.data }, isComplete && waiting.length === 0)
    }
  }
  stream.handler = {
    ...SILENT,
    onRequestN: say,
    onItem(item, complete) {
      isComplete = complete
      waiting.push(item)
      if (waiting.length > 1 || complete || stream.credit > 1) say()
    },
  }
  stream.requestN(1_000)
}

/** Sends `items` on a channel as credit allows and resolves with what comes back. */
export function talk(client: TestClient, first: RSocketPayload, items: readonly string[]) {
  return new Promise<string[]>((resolve) => {
    const heard: string[] = []
    let sent = 0
    const stream = client.peer.request('channel', first, {
      ...SILENT,
      onRequestN: () => {
        while (stream.credit > 0 && sent < items.length && stream.maySend) {
          const item = items[sent++] ?? ''
          stream.next({ data: Buffer.from(item) }, sent === items.length)
        }
      },
      onItem: (item, complete) => {
        heard.push(text(item))
        if (complete) resolve(heard)
      },
      onComplete: () => resolve(heard),
      onError: (code, message) => resolve([...heard, `#${code.toString(16)} ${message}`]),
    })
  })
}

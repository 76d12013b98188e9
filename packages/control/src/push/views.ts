/**
 * Which resources which connections get: proxies that look alike share a view,
 * and a view is translated once per snapshot.
 */
import { contentHash, type Logger } from '@weft/base'
import type { ResourceSet } from '@weft/model'
import type { XdsNode } from '@weft/xds'
import type { MeshSnapshot } from '../snapshot/mesh-snapshot.ts'
import { TranslateCache } from '../translate/cache.ts'
import { proxyViewOf } from '../translate/node-view.ts'
import type { ProxyView } from '../translate/proxy-view.ts'
import { translate } from '../translate/translate.ts'

/** What an ADS server does with a translated view. */
export interface ViewSink {
  publish(view: string, set: ResourceSet, generation: string): void
  drop(view: string): void
}

export interface ViewsDeps {
  readonly log: Logger
  /** Default: `translate`. */
  readonly translate?: typeof translate
}

interface View {
  readonly proxy: ProxyView
  readonly connections: Set<number>
  published: { readonly snapshot: MeshSnapshot; readonly set: ResourceSet } | undefined
  /** Why it did not get the newest snapshot and still has `published`. */
  problem: string | undefined
}

export class Views {
  readonly #sink: ViewSink
  readonly #log: Logger
  readonly #translate: typeof translate
  readonly #cache = new TranslateCache()
  readonly #views = new Map<string, View>()
  readonly #keyOf = new Map<number, string>()

  constructor(sink: ViewSink, deps: ViewsDeps) {
    this.#sink = sink
    this.#log = deps.log
    this.#translate = deps.translate ?? translate
  }

  /**
   * A connection said who it is. With a snapshot its resources are there when
   * this returns, unless they cannot be made: see `problemOf`.
   */
  connect(node: XdsNode, connection: number, snapshot: MeshSnapshot | undefined): void {
    this.disconnect(connection)
    const proxy = proxyViewOf(node)
    const key = keyOf(proxy)
    const view = this.#views.get(key) ?? newView(proxy)
    this.#views.set(key, view)
    view.connections.add(connection)
    this.#keyOf.set(connection, key)
    if (snapshot !== undefined) this.#publish(key, view, snapshot)
  }

  disconnect(connection: number): void {
    const key = this.#keyOf.get(connection)
    const view = key === undefined ? undefined : this.#views.get(key)
    if (key === undefined || view === undefined) return
    this.#keyOf.delete(connection)
    view.connections.delete(connection)
    if (view.connections.size > 0) return
    this.#views.delete(key)
    this.#sink.drop(key)
  }

  /**
   * Translates every view for a snapshot, one at each step, so that the caller
   * can let other work in between.
   */
  *publish(snapshot: MeshSnapshot): Generator<void> {
    this.#cache.sweep()
    for (const [key, view] of [...this.#views]) {
      // It may have gone while the caller did something else.
      if (this.#views.get(key) !== view) continue
      this.#publish(key, view, snapshot)
      yield
    }
  }

  /** What a connection was last given. */
  resourcesOf(connection: number): ResourceSet | undefined {
    const key = this.#keyOf.get(connection)
    return key === undefined ? undefined : this.#views.get(key)?.published?.set
  }

  /** Why a connection did not get the newest snapshot; undefined when it did. */
  problemOf(connection: number): string | undefined {
    const key = this.#keyOf.get(connection)
    return key === undefined ? undefined : this.#views.get(key)?.problem
  }

  proxyOf(connection: number): ProxyView | undefined {
    const key = this.#keyOf.get(connection)
    return key === undefined ? undefined : this.#views.get(key)?.proxy
  }

  get size(): number {
    return this.#views.size
  }

  #publish(key: string, view: View, snapshot: MeshSnapshot): void {
    if (view.published?.snapshot === snapshot) return
    try {
      const set = this.#translate(snapshot, view.proxy, this.#cache)
      this.#sink.publish(key, set, snapshot.generation)
      view.published = { snapshot, set }
      view.problem = undefined
    } catch (error) {
      // A fault of ours for one kind of proxy: these keep what they have, the others go on.
      view.problem = error instanceof Error ? error.message : String(error)
      const { namespace, workload } = view.proxy
      const proxy = `${namespace}/${workload}`
      this.#log.error('cannot translate, proxies like it keep their configuration', {
        proxy,
        generation: snapshot.generation,
        error,
      })
    }
  }
}

function newView(proxy: ProxyView): View {
  return { proxy, connections: new Set(), published: undefined, problem: undefined }
}

/** Equal for proxies that get the same resources. The workload's name is only for people. */
export function viewKeyOf(node: XdsNode): string {
  return keyOf(proxyViewOf(node))
}

function keyOf(proxy: ProxyView): string {
  const { workload: _name, labels, portMap, ...rest } = proxy
  const parts = {
    ...rest,
    labels: Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)),
    portMap: [...portMap].sort(([a], [b]) => a - b),
  }
  return contentHash(JSON.stringify(parts))
}

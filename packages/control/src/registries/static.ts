/**
 * The registry of written-down services: what Service, EndpointSlice, Pod,
 * ServiceEntry and the like in the watched sources say.
 */
import { Latest } from '@weft/base'
import type { Document } from '@weft/config'
import { declaredServices } from './declared/declared-services.ts'
import type { RegistryNames } from './declared/kubernetes-services.ts'
import type { Registry, RegistryHealth, RegistryState } from './registry.ts'
import { shareState } from './state/share.ts'

export class StaticRegistry implements Registry {
  readonly name = 'static'
  readonly #names: RegistryNames
  readonly #state = new Latest<RegistryState>()
  readonly #closed = new AbortController()

  constructor(names: RegistryNames) {
    this.#names = names
  }

  /** Replaces everything that is written down. */
  set(documents: readonly Document[]): void {
    this.#state.set(shareState(this.#state.value, declaredServices(documents, this.#names)))
  }

  watch(signal: AbortSignal): AsyncIterable<RegistryState> {
    return this.#state.watch(AbortSignal.any([signal, this.#closed.signal]))
  }

  health(): RegistryHealth {
    return { kind: this.#state.value === undefined ? 'connecting' : 'live' }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort()
  }
}

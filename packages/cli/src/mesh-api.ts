/** A client of the control plane's admin API: what commands ask a running mesh. */
import type { ApplyResult, CaStatus, DeleteResult, JoinTokenInfo } from '@weft/control'
import type { Resources, ResourceType } from '@weft/model'
import { CommandError, EXIT_UNREACHABLE } from './command.ts'
import { isWell, type MeshStatus } from './inspect/status.ts'
import type { ServiceRow } from './inspect/tables.ts'

const TIMEOUT_MS = 10_000

export interface ObjectName {
  readonly kind: string
  readonly namespace: string
  readonly name: string
}

export interface NewJoinToken {
  readonly namespace: string
  readonly serviceAccount: string
  readonly node?: string
  readonly ttlSeconds: number
  readonly uses: number | 'any'
}

export class MeshApi {
  readonly #url: string

  /** @param url E.g. `http://127.0.0.1:15014`. */
  constructor(url: string) {
    this.#url = url
  }

  /** @param file Name of the text for messages. */
  apply(text: string, file: string): Promise<ApplyResult> {
    return this.#ask('POST', `/v1/apply?file=${encodeURIComponent(file)}`, {
      type: 'application/yaml',
      body: text,
    })
  }

  delete(objects: readonly ObjectName[]): Promise<DeleteResult> {
    return this.#ask('POST', '/v1/delete', {
      type: 'application/json',
      body: JSON.stringify({ objects }),
    })
  }

  /** What became of every object and every proxy. */
  async status(): Promise<MeshStatus> {
    const [{ objects, problems }, { proxies }] = await Promise.all([
      this.#ask<Pick<MeshStatus, 'objects' | 'problems'>>('GET', '/v1/status'),
      this.#ask<Pick<MeshStatus, 'proxies'>>('GET', '/v1/proxies'),
    ])
    const isRefused = problems.some(({ severity }) => severity === 'error')
    return { ok: objects.every(isWell) && !isRefused, objects, problems, proxies }
  }

  async services(): Promise<readonly ServiceRow[]> {
    const { services } = await this.#ask<{ services: readonly ServiceRow[] }>('GET', '/v1/services')
    return services
  }

  /** @param proxy `namespace/workload`, or a workload of namespace `default`. */
  async resources<T extends ResourceType>(
    type: T,
    proxy: string,
  ): Promise<readonly Resources[T][]> {
    const name = proxy.includes('/') ? proxy : `default/${proxy}`
    const query = new URLSearchParams({ proxy: name, type })
    const { resources } = await this.#ask<{ resources: readonly Resources[T][] }>(
      'GET',
      `/v1/resources?${query}`,
    )
    return resources
  }

  caStatus(): Promise<CaStatus> {
    return this.#ask('GET', '/v1/ca')
  }

  rotateCa(abandon: boolean): Promise<CaStatus> {
    return this.#change('/v1/ca/rotate', { abandon })
  }

  /** @param files By Istio's names. */
  importCa(files: Readonly<Record<string, string>>): Promise<CaStatus> {
    return this.#change('/v1/ca/import', { files })
  }

  /** The trusted roots, PEM. */
  async caBundle(): Promise<string> {
    const { bundle } = await this.#ask<{ bundle: string }>('GET', '/v1/ca/bundle')
    return bundle
  }

  createJoinToken(options: NewJoinToken): Promise<JoinTokenInfo & { readonly token: string }> {
    return this.#change('/v1/join-tokens', options)
  }

  async joinTokens(): Promise<readonly JoinTokenInfo[]> {
    const { tokens } = await this.#ask<{ tokens: readonly JoinTokenInfo[] }>(
      'GET',
      '/v1/join-tokens',
    )
    return tokens
  }

  async revokeJoinToken(id: string): Promise<void> {
    await this.#change('/v1/join-tokens/revoke', { id })
  }

  #change<T>(path: string, value: object): Promise<T> {
    return this.#ask('POST', path, { type: 'application/json', body: JSON.stringify(value) })
  }

  async #ask<T>(
    method: string,
    path: string,
    content?: { readonly type: string; readonly body: string },
  ): Promise<T> {
    let response: Response
    try {
      response = await fetch(new URL(path, this.#url), {
        method,
        signal: AbortSignal.timeout(TIMEOUT_MS),
        ...(content === undefined
          ? {}
          : { headers: { 'content-type': content.type }, body: content.body }),
      })
    } catch (error) {
      throw new CommandError(`Cannot reach a control plane at ${this.#url}`, EXIT_UNREACHABLE, {
        cause: error,
        hint: 'Start one with `weft up`, or say where it is: --control URL',
      })
    }
    const text = await response.text()
    const answer = parseJson(text)
    // 422 carries a result that says what is wrong with the input.
    if ((response.ok || response.status === 422) && answer !== undefined) return answer as T
    throw new CommandError(`The control plane at ${this.#url} answered ${response.status}: ${text}`)
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

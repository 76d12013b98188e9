/** A client of the control plane's admin API: what commands ask a running mesh. */
import type {
  ApplyResult,
  AuditEntry,
  CaStatus,
  DeleteResult,
  Grant,
  Identity,
  JoinTokenInfo,
  OperatorTokenInfo,
} from '@weft/control'
import type { Origin, Resources, ResourceType } from '@weft/model'
import { CommandError, EXIT_UNREACHABLE } from './command.ts'
import { isWell, type MeshStatus } from './inspect/status.ts'
import type { ServiceRow } from './inspect/tables.ts'
import { type ApiTarget, type CallAnswer, callApi, nameOfTarget } from './mesh-call.ts'

export interface ObjectName {
  readonly kind: string
  readonly namespace: string
  readonly name: string
}

export interface MeshObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly namespace: string; readonly name: string }
  readonly spec?: unknown
  readonly origin: Origin
}

export interface NewJoinToken {
  readonly namespace: string
  readonly serviceAccount: string
  readonly node?: string
  readonly ttlSeconds: number
  readonly uses: number | 'any'
}

export interface NewOperatorToken {
  readonly user: string
  readonly groups: readonly string[]
  readonly role?: string
  readonly namespaces?: readonly string[]
  readonly ttlSeconds?: number
}

export type Whoami = Identity & { readonly grants: readonly Grant[] }

export interface Judgement {
  readonly allowed: boolean
  readonly action: string
  readonly role: string
  readonly reason?: string
}

export class MeshApi {
  readonly #target: ApiTarget

  constructor(target: ApiTarget) {
    this.#target = target
  }

  /** As people know it. */
  get name(): string {
    return nameOfTarget(this.#target)
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

  /** Objects in force; of a Secret no content. */
  async objects(): Promise<readonly MeshObject[]> {
    const { objects } = await this.#ask<{ objects: readonly MeshObject[] }>('GET', '/v1/objects')
    return objects
  }

  async services(): Promise<readonly ServiceRow[]> {
    const { services } = await this.#ask<{ services: readonly ServiceRow[] }>('GET', '/v1/services')
    return services
  }

  /** @param proxy `namespace/workload`, or a workload: of namespace `default`, else of any. */
  async resources<T extends ResourceType>(
    type: T,
    proxy: string,
  ): Promise<readonly Resources[T][]> {
    const query = new URLSearchParams({ proxy, type })
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

  /** The SPIFFE bundle document of the mesh's own trust domain. */
  spiffeBundle(): Promise<unknown> {
    return this.#ask('GET', '/v1/spiffe-bundle')
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

  whoami(): Promise<Whoami> {
    return this.#ask('GET', '/v1/whoami')
  }

  /** @param namespace Absent: in all of them. */
  can(action: string, namespace: string | undefined): Promise<Judgement> {
    const query = new URLSearchParams({ action, ...(namespace === undefined ? {} : { namespace }) })
    return this.#ask('GET', `/v1/can?${query}`)
  }

  createOperatorToken(
    options: NewOperatorToken,
  ): Promise<OperatorTokenInfo & { readonly token: string }> {
    return this.#change('/v1/operator-tokens', options)
  }

  async operatorTokens(): Promise<readonly OperatorTokenInfo[]> {
    const { tokens } = await this.#ask<{ tokens: readonly OperatorTokenInfo[] }>(
      'GET',
      '/v1/operator-tokens',
    )
    return tokens
  }

  async revokeOperatorToken(id: string): Promise<void> {
    await this.#change('/v1/operator-tokens/revoke', { id })
  }

  /** The newest first. */
  async audit(limit: number): Promise<readonly AuditEntry[]> {
    const { entries } = await this.#ask<{ entries: readonly AuditEntry[] }>(
      'GET',
      `/v1/audit?limit=${limit}`,
    )
    return entries
  }

  /** A path that signs a browser in, once. */
  consoleLink(): Promise<{ readonly path: string; readonly ttlSeconds: number }> {
    return this.#change('/v1/console-links', {})
  }

  #change<T>(path: string, value: object): Promise<T> {
    return this.#ask('POST', path, { type: 'application/json', body: JSON.stringify(value) })
  }

  async #ask<T>(
    method: string,
    path: string,
    content?: { readonly type: string; readonly body: string },
  ): Promise<T> {
    let answer: CallAnswer
    try {
      answer = await callApi(this.#target, method, path, content)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      const why = error instanceof Error && code !== 'ECONNREFUSED' ? `: ${error.message}` : ''
      throw new CommandError(
        `Cannot reach a control plane at ${this.name}${why}`,
        EXIT_UNREACHABLE,
        { cause: error, hint: 'Start one with `weft up`, or say where it is: --control URL' },
      )
    }
    const { status, text } = answer
    const value = parseJson(text)
    // 422 carries a result that says what is wrong with the input.
    if (((status >= 200 && status < 300) || status === 422) && value !== undefined) {
      return value as T
    }
    throw refusalOf(this.name, status, text, value)
  }
}

function refusalOf(name: string, status: number, text: string, value: unknown): CommandError {
  const { error = text } = (value ?? {}) as { readonly error?: string }
  if (status === 401) {
    return new CommandError(`The control plane at ${name} does not know you: ${error}`, 1, {
      hint: 'Bring a token: --token-file FILE, WEFT_TOKEN, or `weft auth login`. Its user needs none on its own machine',
    })
  }
  if (status === 403) return new CommandError(`Not allowed: ${error}`)
  return new CommandError(`The control plane at ${name} answered ${status}: ${error}`)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

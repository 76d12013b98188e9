/** A client of the control plane's admin API: what commands ask a running mesh. */
import type { Problem } from '@weft/config'
import type { ApplyResult, DeleteResult, ObjectStatus } from '@weft/control'
import { CommandError, EXIT_UNREACHABLE } from './command.ts'

const TIMEOUT_MS = 10_000

export interface ObjectName {
  readonly kind: string
  readonly namespace: string
  readonly name: string
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

  async statuses(): Promise<readonly ObjectStatus[]> {
    const { objects } = await this.#ask<{ objects: readonly ObjectStatus[] }>('GET', '/v1/status')
    return objects
  }

  /** Everything found wrong in what the control plane watches. */
  async problems(): Promise<readonly Problem[]> {
    const { problems } = await this.#ask<{ problems: readonly Problem[] }>('GET', '/v1/status')
    return problems
  }

  /** Any JSON endpoint. @throws {CommandError} If the control plane is not there or refuses. */
  get<T>(path: string): Promise<T> {
    return this.#ask('GET', path)
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
      throw new CommandError(
        `Cannot reach a control plane at ${this.#url}. Start one with \`weft up\`, or say where it is: --control URL`,
        EXIT_UNREACHABLE,
        { cause: error },
      )
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

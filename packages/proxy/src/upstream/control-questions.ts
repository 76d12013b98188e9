/**
 * Questions to the control plane, over the way by which configuration comes from it: in plaintext on
 * one machine, else over mutual TLS with the proxy's own certificate, the newest that there is.
 */
import type { Clock } from '@weft/base'
import type { Secret, SocketAddress } from '@weft/model'
import { ServiceClient, type ServiceQuestion, type XdsCredentials } from '@weft/xds'
import { MESH_ROOTS, OWN_CERTIFICATE } from '../identity/local-secrets.ts'

/** The control plane's own cluster: it need not be in the configuration. */
export const CONTROL_CLUSTER = 'weft-control'

interface ControlQuestionsOptions {
  readonly target: SocketAddress | { readonly path: string }
  readonly isTls: boolean
}

interface ControlQuestionsDeps {
  readonly clock: Clock
  /** Of the configuration in force. */
  readonly secretOf: (name: string) => Secret | undefined
}

export class ControlQuestions {
  readonly #options: ControlQuestionsOptions
  readonly #deps: ControlQuestionsDeps
  readonly #client = new ServiceClient()

  constructor(options: ControlQuestionsOptions, deps: ControlQuestionsDeps) {
    this.#options = options
    this.#deps = deps
  }

  /** @returns Cancels. `done` is called once unless cancelled: the answer's message, or `undefined`. */
  ask(question: ServiceQuestion, done: (message: Uint8Array | undefined) => void): () => void {
    const { target, isTls } = this.#options
    const { clock } = this.#deps
    if (!isTls) return this.#client.ask({ target }, question, clock, done)
    const credentials = this.#credentials()
    if (credentials !== undefined) {
      return this.#client.ask({ target, credentials }, question, clock, done)
    }
    // Nobody is asked without a certificate, least of all in plaintext.
    done(undefined)
    return () => {}
  }

  #credentials(): XdsCredentials | undefined {
    const { secretOf } = this.#deps
    const own = secretOf(OWN_CERTIFICATE)
    const roots = secretOf(MESH_ROOTS)
    if (own?.kind !== 'certificate' || roots?.kind !== 'validation') return undefined
    return { chainPem: own.chainPem, keyPem: own.keyPem, rootsPem: roots.caPem }
  }
}

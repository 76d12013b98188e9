/**
 * Whether a request has the tokens that are required, as Envoy decides it. Tokens are looked for
 * and parsed once; with every key there, the rest is a plain walk down the requirement.
 */
import type { JwtRequirement } from '@weft/model'
import type { Problem, ProviderVerifier, Verdict } from './provider-verifier.ts'
import { type TokenCall, tokensAt } from './token-places.ts'
import { isIssuerOf, type ParsedJwt, parseJwt } from './verify-token.ts'

export interface Accepted {
  readonly verifier: ProviderVerifier
  readonly verdict: Extract<Verdict, { ok: true }>
}

export type Outcome =
  | { readonly ok: true; readonly accepted: readonly Accepted[] }
  | { readonly ok: false; readonly problem: Problem }

export class TokenSearch {
  readonly #verifiers: ReadonlyMap<string, ProviderVerifier>
  readonly #call: TokenCall
  readonly #nowMs: number
  readonly #parsed = new Map<string, ParsedJwt>()
  readonly #found = new Map<ProviderVerifier, readonly string[]>()

  constructor(verifiers: ReadonlyMap<string, ProviderVerifier>, call: TokenCall, nowMs: number) {
    this.#verifiers = verifiers
    this.#call = call
    this.#nowMs = nowMs
  }

  /** Keys that have to come first. */
  pending(): readonly Promise<void>[] {
    return [...this.#verifiers.values()].flatMap((verifier) =>
      this.#tokensOf(verifier).flatMap((text) => {
        const parsed = this.#parse(text)
        if (!parsed.ok || !isIssuerOf(verifier.provider, parsed.jwt)) return []
        const now = verifier.keysFor(parsed.jwt, true)
        return now.ready ? [] : [now.when]
      }),
    )
  }

  decide(requirement: JwtRequirement): Outcome {
    return this.#decide(requirement, [...this.#verifiers.values()])
  }

  /** @param scope Providers whose tokens `allowMissing` is about. */
  #decide(requirement: JwtRequirement, scope: readonly ProviderVerifier[]): Outcome {
    switch (requirement.kind) {
      case 'provider':
        return this.#byProvider(requirement.name, requirement.audiences)
      case 'any':
        return this.#any(requirement.of, scope)
      case 'all':
        return this.#all(requirement.of, scope)
      case 'allowMissing':
        return this.#allowMissing(scope)
      case 'allowMissingOrFailed':
        return this.#allowFailed(scope)
    }
  }

  #byProvider(name: string, audiences: readonly string[]): Outcome {
    const verifier = this.#verifiers.get(name)
    if (verifier === undefined) return { ok: false, problem: 'issuer' }
    const tokens = this.#tokensOf(verifier)
    if (tokens.length === 0) return { ok: false, problem: 'missing' }
    const accepted: Accepted[] = []
    // A good token must not carry a bad one in that the upstream may read instead.
    for (const text of tokens) {
      const verdict = this.#verify(verifier, text, audiences)
      if (!verdict.ok) return verdict
      accepted.push({ verifier, verdict })
    }
    return { ok: true, accepted }
  }

  #any(of: readonly JwtRequirement[], scope: readonly ProviderVerifier[]): Outcome {
    const named = of.flatMap((one) => {
      const verifier = one.kind === 'provider' ? this.#verifiers.get(one.name) : undefined
      return verifier === undefined ? [] : [verifier]
    })
    const narrowed = named.length > 0 ? named : scope
    let problem: Problem = 'missing'
    for (const one of of) {
      const outcome = this.#decide(one, narrowed)
      if (outcome.ok) return outcome
      if (weightOf(outcome.problem) >= weightOf(problem)) problem = outcome.problem
    }
    return { ok: false, problem }
  }

  #all(of: readonly JwtRequirement[], scope: readonly ProviderVerifier[]): Outcome {
    const accepted: Accepted[] = []
    for (const one of of) {
      const outcome = this.#decide(one, scope)
      if (!outcome.ok) return outcome
      accepted.push(...outcome.accepted)
    }
    return { ok: true, accepted }
  }

  #allowMissing(scope: readonly ProviderVerifier[]): Outcome {
    const accepted: Accepted[] = []
    for (const text of new Set(scope.flatMap((verifier) => this.#tokensOf(verifier)))) {
      const found = this.#byAnyOf(scope, text)
      if (!found.ok) return found
      accepted.push(...found.accepted)
    }
    return { ok: true, accepted }
  }

  #allowFailed(scope: readonly ProviderVerifier[]): Outcome {
    const accepted: Accepted[] = []
    for (const text of new Set(scope.flatMap((verifier) => this.#tokensOf(verifier)))) {
      const found = this.#byAnyOf(scope, text)
      if (found.ok) accepted.push(...found.accepted)
    }
    return { ok: true, accepted }
  }

  /** By the providers that look where the token is, those of its issuer first. */
  #byAnyOf(scope: readonly ProviderVerifier[], text: string): Outcome {
    let problem: Problem = 'issuer'
    for (const verifier of scope) {
      if (!this.#tokensOf(verifier).includes(text)) continue
      const verdict = this.#verify(verifier, text, [])
      if (verdict.ok) return { ok: true, accepted: [{ verifier, verdict }] }
      if (weightOf(verdict.problem) >= weightOf(problem)) problem = verdict.problem
    }
    return { ok: false, problem }
  }

  #verify(verifier: ProviderVerifier, text: string, audiences: readonly string[]): Verdict {
    const parsed = this.#parse(text)
    if (!parsed.ok) return parsed
    return verifier.verify(text, parsed.jwt, audiences, this.#nowMs)
  }

  #parse(text: string): ParsedJwt {
    const known = this.#parsed.get(text)
    if (known !== undefined) return known
    const parsed = parseJwt(text)
    this.#parsed.set(text, parsed)
    return parsed
  }

  #tokensOf(verifier: ProviderVerifier): readonly string[] {
    const known = this.#found.get(verifier)
    if (known !== undefined) return known
    const { from } = verifier.provider
    const tokens = [...new Set(from.flatMap((source) => tokensAt(source, this.#call)))]
    this.#found.set(verifier, tokens)
    return tokens
  }
}

/** What the client is told when nothing was right: the most telling reason, as in Envoy. */
function weightOf(problem: Problem): number {
  return problem === 'missing' ? 0 : problem === 'issuer' ? 1 : 2
}

/**
 * What is left of the rules once some dimensions of a call are chosen. Calls with the same rest
 * have the same fate, so that each rest is followed once, and one that is alike before and after is
 * followed not at all. Whether a single predicate holds is asked of the judge that decides.
 */
import { realClock } from '@weft/base'
import type {
  FilterChain,
  HttpFilterConfig,
  Permission,
  Principal,
  RbacFilter,
  RbacRules,
} from '@weft/model'
import { AccessJudge } from '@weft/proxy'
import { accessCall } from '../access/authorize-call.ts'
import type { Call } from '../simulate/call.ts'

type Predicate = Permission | Principal
/** `all`: of several values each must match; `any`: one of them. */
type Reading = 'all' | 'any'

export class ResidualRules {
  readonly #chain: FilterChain
  readonly #rules: readonly RbacRules[]
  readonly #port: number
  readonly #judges = new Map<string, AccessJudge>()
  readonly #known = new Map<string, boolean>()

  /** @param chain Any of the port's: they all have the same guards. */
  constructor(chain: FilterChain, port: number) {
    this.#chain = chain
    this.#port = port
    this.#rules = stepsOf(chain).flatMap(({ rules, shadowRules }) =>
      [rules, shadowRules].flatMap((one) => one ?? []),
    )
  }

  /** @param chosen Names of the dimensions that the call has, with their classes. */
  rest(call: Call, chosen: ReadonlyMap<string, number>): string {
    return this.#rules
      .map(({ action, policies }) => {
        const reading = action === 'allow' ? 'all' : 'any'
        const left = policies.map(({ permissions, principals }) =>
          both(
            either(permissions.map((one) => this.#left(one, reading, call, chosen))),
            either(principals.map((one) => this.#left(one, reading, call, chosen))),
          ),
        )
        return `${action} ${either(left)}`
      })
      .join('\n')
  }

  #left(one: Predicate, reading: Reading, call: Call, chosen: ReadonlyMap<string, number>): string {
    switch (one.kind) {
      case 'any':
        return YES
      case 'allOf':
        return one.of.map((part) => this.#left(part, reading, call, chosen)).reduce(both, YES)
      case 'oneOf':
        return either(one.of.map((part) => this.#left(part, reading, call, chosen)))
      case 'not': {
        const left = this.#left(one.of, reading === 'all' ? 'any' : 'all', call, chosen)
        return left === YES ? NO : left === NO ? YES : `!(${left})`
      }
      default: {
        const text = JSON.stringify([one, reading])
        const dimensions = dimensionsOf(one)
        // Half of an answer is a part of the rest, too.
        const key = `${text} ${dimensions.map((name) => chosen.get(name) ?? '?').join()}`
        if (dimensions.some((name) => !chosen.has(name))) return key
        const known = this.#known.get(key) ?? this.#holds(one, reading, text, call)
        this.#known.set(key, known)
        return known ? YES : NO
      }
    }
  }

  /** Asks the judge, by a chain with no other rule. */
  #holds(one: Predicate, reading: Reading, text: string, call: Call): boolean {
    const judge =
      this.#judges.get(text) ?? new AccessJudge(aloneIn(this.#chain, one, reading), realClock)
    this.#judges.set(text, judge)
    // As it arrives: whoever has an identity shows it.
    const tls = call.source?.principal === undefined ? call.tls : 'mtls'
    const asked = accessCall({ ...call, tls }, this.#port, undefined)
    const isAllowed = judge.decide(asked) === 'allow'
    return isAllowed === (reading === 'all')
  }
}

const YES = 'yes'
const NO = 'no'

function both(a: string, b: string): string {
  if (a === NO || b === NO) return NO
  if (a === YES) return b
  return b === YES ? a : `(${a} & ${b})`
}

function either(all: readonly string[]): string {
  if (all.includes(YES)) return YES
  const open = [...new Set(all.filter((one) => one !== NO))].sort()
  return open.length === 0 ? NO : `(${open.join(' | ')})`
}

/** What of a call a predicate looks at. */
function dimensionsOf(one: Predicate): readonly string[] {
  switch (one.kind) {
    case 'authenticated':
      return ['from']
    case 'path':
    case 'pathTemplate':
      return ['path']
    case 'sourceIp':
      return ['source ip']
    case 'remoteIp':
      return ['source ip', 'client ip']
    case 'destinationIp':
      return ['destination ip']
    case 'serverName':
      return ['server name']
    case 'claim':
      return ['token']
    case 'header':
      return [headerDimension(one.match.name.toLowerCase())]
    default:
      return []
  }
}

function headerDimension(name: string): string {
  if (name === ':method') return 'method'
  return name === ':authority' || name === 'host' ? 'host' : `header ${name}`
}

function stepsOf({ filter, rbac = [] as never }: FilterChain): readonly RbacFilter[] {
  const steps: readonly RbacFilter[] = rbac
  return filter.kind === 'http'
    ? [...steps, ...filter.filters.filter((one) => one.kind === 'rbac')]
    : steps
}

function aloneIn(chain: FilterChain, one: Predicate, reading: Reading): FilterChain {
  const action = reading === 'all' ? 'allow' : 'deny'
  const any = [{ kind: 'any' }] as const
  const isCaller = ['authenticated', 'sourceIp', 'remoteIp'].includes(one.kind)
  const rules: RbacRules = {
    action,
    policies: [
      {
        name: 'alone',
        permissions: isCaller ? any : [one as Permission],
        principals: isCaller ? [one as Principal] : any,
        origins: [],
      },
    ],
  }
  const { filter, rbac, ...rest } = chain
  void rbac
  if (filter.kind !== 'http') return { ...rest, filter, rbac: [{ statPrefix: 'tcp.', rules }] }
  const tokens = filter.filters.filter(({ kind }) => kind === 'jwtAuthn')
  const filters: readonly HttpFilterConfig[] = [...tokens, { kind: 'rbac', rules }]
  return { ...rest, filter: { ...filter, filters } }
}

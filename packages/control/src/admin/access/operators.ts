/**
 * Everybody who may call the admin API, and how they prove it:
 *
 *     Authorization: Bearer wot_…   an operator token
 *                    Bearer wat_…   the token of whoever started this control plane, on this machine
 *     client certificate            the mesh's, or that of an operators' CA
 *     the unix socket               whoever may open it: its mode is 0600
 *     cookie                        a session, which one of the above began
 *
 * Several proofs must not contradict one another: a token that is no good is refused, whatever else
 * comes with it.
 */
import { createHash, randomBytes, timingSafeEqual, type X509Certificate } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock, Logger } from '@weft/base'
import type { SocketAddress } from '@weft/model'
import type { XdsPeer } from '@weft/xds'
import type { MeshCa } from '../../ca/mesh-ca.ts'
import { readIfThere, writePrivately } from '../../ca/private-files.ts'
import { AuditLog } from './audit-log.ts'
import { BindingsFile, grantsFor } from './bindings.ts'
import { operatorCasOf, personIdentity, workloadIdentity } from './client-certificate.ts'
import { OperatorTokens } from './operator-tokens.ts'
import {
  AUTHENTICATED,
  type Grant,
  type Identity,
  type Operator,
  OWNER,
  OWNER_GRANTS,
} from './roles.ts'
import { Sessions } from './sessions.ts'

export interface OperatorOptions {
  /** Keeps operator tokens and the audit log; absent: they end with the process. */
  readonly folder?: string
  /** YAML: users and groups → role → namespaces. */
  readonly bindingsFile?: string
  /** PEM file: certificates of these CAs name operators by common name and organisation. */
  readonly clientCaFile?: string
  /** Where the owner's token goes, `<host>-<port>.admin-token`; absent: nowhere. */
  readonly tokenFolder?: string
}

/** What a caller brought along. */
export interface Credentials {
  /** Over a unix socket. */
  readonly isSocket: boolean
  /** Loopback or a unix socket. */
  readonly isLocal: boolean
  /** DER, the leaf first; nobody has verified it. */
  readonly chain: readonly Buffer[]
  readonly authorization: string | undefined
  /** Of the session. */
  readonly cookie: string | undefined
}

export type Authenticated =
  | { readonly ok: true; readonly operator: Operator; readonly byCookie: boolean }
  | { readonly ok: false; readonly problem: string }

export interface OperatorsDeps {
  readonly clock: Clock
  readonly log: Logger
  readonly ca: () => Pick<MeshCa, 'identify'>
}

const OWNER_PREFIX = 'wat_'
const TOKEN_BYTES = 32
const BEARER = /^Bearer +([\x21-\x7e]{1,8192})$/i
const UNKNOWN = 'say who you are: a Bearer token, a client certificate, or the unix socket'

export class Operators {
  readonly #deps: OperatorsDeps
  readonly #options: OperatorOptions
  readonly #bindings: BindingsFile | undefined
  readonly #cas: readonly X509Certificate[]
  readonly tokens: OperatorTokens
  readonly sessions: Sessions
  readonly audit: AuditLog
  /** Of whoever started this process; another one at each start. */
  readonly ownerToken = `${OWNER_PREFIX}${randomBytes(TOKEN_BYTES).toString('base64url')}`
  #announced: string | undefined

  private constructor(
    options: OperatorOptions,
    deps: OperatorsDeps,
    cas: readonly X509Certificate[],
    tokens: OperatorTokens,
  ) {
    const { folder, bindingsFile } = options
    this.#options = options
    this.#deps = deps
    this.#cas = cas
    this.tokens = tokens
    this.sessions = new Sessions(() => deps.clock.monotonicMs())
    const path = folder === undefined ? undefined : join(folder, 'audit.jsonl')
    this.audit = new AuditLog({ path, log: deps.log })
    this.#bindings =
      bindingsFile === undefined ? undefined : new BindingsFile(bindingsFile, deps.log)
  }

  /** @throws {Error} When a file that was named cannot be read; the message says which and why. */
  static async open(options: OperatorOptions, deps: OperatorsDeps): Promise<Operators> {
    const { folder, clientCaFile } = options
    const tokens = await OperatorTokens.open({
      path: folder === undefined ? undefined : join(folder, 'tokens.json'),
      wallMs: () => deps.clock.nowMs(),
      log: deps.log,
    })
    const cas = clientCaFile === undefined ? [] : await readCas(clientCaFile)
    return new Operators(options, deps, cas, tokens)
  }

  authenticate(credentials: Credentials): Authenticated {
    const { authorization, isSocket, chain, cookie } = credentials
    if (authorization !== undefined) return this.#byToken(authorization, credentials)
    if (isSocket) return this.#known({ ...OWNER, proof: 'socket' })
    if (chain.length > 0) return this.#byCertificate(chain)
    if (cookie === undefined) return refused(UNKNOWN)
    const identity = this.sessions.find(cookie)
    if (identity === undefined) return refused('the session has ended; `weft dashboard` begins one')
    return this.#known(identity, true)
  }

  /** Lets this machine's user in at the address. */
  async announce({ host, port }: SocketAddress): Promise<void> {
    const { tokenFolder } = this.#options
    if (tokenFolder === undefined) return
    this.#announced = join(tokenFolder, `${host}-${port}.admin-token`)
    await writePrivately(this.#announced, `${this.ownerToken}\n`)
  }

  async close(): Promise<void> {
    const path = this.#announced
    // A successor may have announced itself there already.
    const isOurs =
      path !== undefined &&
      (await readIfThere(path).catch(() => undefined)) === `${this.ownerToken}\n`
    if (isOurs) await rm(path, { force: true })
    await this.audit.close()
  }

  #byToken(authorization: string, { isLocal }: Credentials): Authenticated {
    const token = BEARER.exec(authorization)?.[1]
    if (token === undefined) return refused('the authorization header must be: Bearer TOKEN')
    if (token.startsWith(OWNER_PREFIX)) {
      if (!isSame(token, this.ownerToken)) return refused('the token is not that of this run')
      return isLocal ? this.#known(OWNER) : refused('the token of the owner is for this machine')
    }
    const found = this.tokens.find(token)
    if (found === undefined) return refused('the token is unknown, was revoked or has ended')
    const { user, groups, id } = found
    const all = [AUTHENTICATED, ...groups]
    return this.#known({ user, groups: all, proof: 'token', tokenId: id })
  }

  #byCertificate(chain: readonly Buffer[]): Authenticated {
    const [leaf] = chain
    const peer: XdsPeer = {
      address: '',
      isLocal: false,
      isTls: true,
      chain,
      authorization: undefined,
    }
    const workload = this.#deps.ca().identify(peer)
    if (workload.ok) return this.#known(workloadIdentity(workload.id))
    if (leaf === undefined || this.#cas.length === 0) return refused(workload.problem)
    try {
      const person = personIdentity(leaf, this.#cas, this.#deps.clock.nowMs())
      return person.ok ? this.#known(person.identity) : refused(person.problem)
    } catch {
      return refused('your certificate cannot be read')
    }
  }

  /** Roles are looked up anew each time: what was taken away is gone at once, from sessions too. */
  #known(identity: Identity, byCookie = false): Authenticated {
    const { proof, tokenId } = identity
    const isOwner = proof === 'owner' || proof === 'socket'
    let own: readonly Grant[] = isOwner ? OWNER_GRANTS : []
    if (tokenId !== undefined) {
      const token = this.tokens.byId(tokenId)
      if (token === undefined) return refused('the token was revoked or has ended')
      if (token.grant !== undefined) own = [token.grant]
    }
    const bound = grantsFor(this.#bindings?.bindings ?? [], identity)
    return { ok: true, byCookie, operator: { ...identity, grants: [...own, ...bound] } }
  }
}

async function readCas(file: string): Promise<readonly X509Certificate[]> {
  try {
    return operatorCasOf(await readFile(file, 'utf8'))
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`Cannot read the CA of operators ${file}: ${why}`, { cause })
  }
}

function refused(problem: string): Authenticated {
  return { ok: false, problem }
}

function isSame(a: string, b: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(a), hash(b))
}

/** An issuer of tokens with keys that rotate, over a real socket. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { realClock } from '@weft/base'
import type { JwtProvider } from '@weft/model'

export interface Issuer {
  readonly port: number
  readonly issuer: string
  /** What it answers in place of its keys; `undefined`: its keys; `silence`: nothing, ever. */
  failure: { readonly status: number; readonly body: string } | 'silence' | undefined
  /** How often it was asked. */
  asked(): number
  /** A new key signs from now on; the old ones are there no more. */
  rotate(): void
  jwks(): string
  token(claims?: object, header?: object): string
  close(): void
}

export async function openIssuer(name = 'https://issuer.example'): Promise<Issuer> {
  let asked = 0
  let generation = 0
  let pair = newPair()
  const jwks = () =>
    JSON.stringify({
      keys: [{ ...pair.publicKey.export({ format: 'jwk' }), kid: `k${generation}`, alg: 'ES256' }],
    })
  const server = createServer((request, response) => {
    asked++
    const { failure } = issuer
    if (failure === 'silence') return
    if (failure !== undefined) response.writeHead(failure.status).end(failure.body)
    else if (request.url?.includes('openid-configuration') === true) {
      response.end(
        JSON.stringify({ issuer: name, jwks_uri: `http://${request.headers.host}/jwks` }),
      )
    } else response.end(jwks())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer: Issuer = {
    port: (server.address() as AddressInfo).port,
    issuer: name,
    failure: undefined,
    asked: () => asked,
    rotate() {
      generation++
      pair = newPair()
    },
    jwks,
    token: (claims = {}, header = {}) => {
      const now = Math.floor(realClock.nowMs() / 1_000)
      const all = { iss: name, sub: 'ann', aud: 'shop', exp: now + 600, ...claims }
      return signed({ alg: 'ES256', kid: `k${generation}`, ...header }, all, pair.privateKey)
    },
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
  return issuer
}

function newPair() {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
}

function signed(header: object, claims: object, key: KeyObject): string {
  const pack = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${pack(header)}.${pack(claims)}`
  const signature = sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' })
  return `${text}.${signature.toString('base64url')}`
}

/** As a RequestAuthentication with nothing but an issuer makes it. */
export function providerOf(
  issuer: Pick<Issuer, 'issuer'>,
  keys: JwtProvider['keys'],
  changes: Partial<JwtProvider> = {},
): JwtProvider {
  return {
    name: 'origins-0',
    issuer: issuer.issuer,
    audiences: [],
    keys,
    from: [
      { kind: 'header', name: 'authorization', prefix: 'Bearer ' },
      { kind: 'query', name: 'access_token' },
    ],
    forward: false,
    claimHeaders: [],
    clockSkewMs: 60_000,
    spaceDelimitedClaims: [],
    payloadMetadataKey: 'payload',
    ...changes,
  }
}

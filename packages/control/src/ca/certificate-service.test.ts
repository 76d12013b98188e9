/** Certificates from a running control plane, by everything that proves who somebody is. */
import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import type { ClientHttp2Session } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { readPem, verifySvid } from '@weft/identity'
import { renderSpiffeId, type SocketAddress } from '@weft/model'
import { type ControlPlane, startControlPlane } from '../control-plane.ts'
import { askFor, csrOf, derOf, newKey, openSession, type Proof } from './test-ca-client.ts'

const ANY = { host: '127.0.0.1', port: 0 }
const ISSUER = 'https://kubernetes.default.svc'
const CI = 'https://ci.example'

const signer = generateKeyPairSync('ec', { namedCurve: 'P-256' })

function jwt(claims: object, kid = 'k'): string {
  const pack = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${pack({ alg: 'ES256', kid })}.${pack(claims)}`
  const key = { key: signer.privateKey, dsaEncoding: 'ieee-p1363' } as const
  return `${text}.${sign('sha256', Buffer.from(text), key).toString('base64url')}`
}

const inAnHour = () => Math.floor(Date.now() / 1_000) + 3_600
const podToken = (more: object = {}) =>
  jwt({
    iss: ISSUER,
    aud: ['istio-ca'],
    exp: inAnHour(),
    sub: 'system:serviceaccount:shop:cart',
    ...more,
  })

const folder = mkdtempSync(join(tmpdir(), 'weft-ca-'))
const open: ClientHttp2Session[] = []
let plane: ControlPlane
let session: ClientHttp2Session
let secure: SocketAddress

before(async () => {
  const jwks = join(folder, 'keys.json')
  const jwk = signer.publicKey.export({ format: 'jwk' })
  writeFileSync(jwks, JSON.stringify({ keys: [{ ...jwk, kid: 'k' }] }))
  const keys = { kind: 'file', path: jwks } as const
  plane = await startControlPlane({
    sources: [join(folder, 'mesh.yaml')],
    xds: ANY,
    xdsTls: ANY,
    admin: ANY,
    stateDir: join(folder, 'state'),
    ca: {
      bootstrapFolder: join(folder, 'bootstrap'),
      issuers: [
        { issuer: ISSUER, audiences: ['istio-ca'], keys, accounts: 'kubernetes' },
        {
          issuer: CI,
          audiences: ['weft'],
          keys,
          accounts: [
            { claims: { repo: 'acme/shop' }, namespace: 'claim:env', serviceAccount: 'deploy' },
          ],
        },
      ],
    },
  })
  session = openSession(plane.xds)
  open.push(session)
  if (plane.xdsTls === undefined) throw new Error('Cannot test: no TLS port')
  secure = plane.xdsTls
})

after(async () => {
  for (const one of open) one.destroy()
  await plane.close()
  rmSync(folder, { recursive: true })
})

const ask = (proof: Proof, on = session) => askFor(on, proof)

const asOwner = () => ({ authorization: `Bearer ${plane.ownerToken}` })

async function post(path: string, body: object): Promise<{ status: number; json: unknown }> {
  const { host, port } = plane.admin
  const response = await fetch(`http://${host}:${port}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...asOwner() },
    body: JSON.stringify(body),
  })
  return { status: response.status, json: await response.json() }
}

async function get<T>(path: string): Promise<T> {
  const { host, port } = plane.admin
  return (await (await fetch(`http://${host}:${port}${path}`, { headers: asOwner() })).json()) as T
}

async function newToken(more: object = {}): Promise<string> {
  const { json } = await post('/v1/join-tokens', {
    namespace: 'shop',
    serviceAccount: 'cart',
    ...more,
  })
  return (json as { token: string }).token.split('@')[0] ?? ''
}

/** The identity that a chain proves, or why it proves none. */
function idOf(chain: readonly string[]): string {
  const der = derOf(chain)
  const root = der.at(-1)
  if (root === undefined) return 'no chain'
  const verified = verifySvid(der.slice(0, -1), new Map([['cluster.local', [root]]]), Date.now())
  return verified.ok ? renderSpiffeId(verified.id) : verified.problem
}

const CART = 'spiffe://cluster.local/ns/shop/sa/cart'

describe('a certificate is given', () => {
  test('for a join token', async () => {
    const { status, chain } = await ask({ token: await newToken() })
    assert.equal(status, 0)
    assert.equal(idOf(chain), CART)
  })

  test("for a Kubernetes service account's token", async () => {
    assert.equal(idOf((await ask({ token: podToken() })).chain), CART)
  })

  test('for the token of an OIDC issuer, by its claims', async () => {
    const token = jwt({ iss: CI, aud: 'weft', exp: inAnHour(), repo: 'acme/shop', env: 'prod' })
    assert.equal(idOf((await ask({ token })).chain), 'spiffe://cluster.local/ns/prod/sa/deploy')
  })

  test("for this machine's user, who may be anybody here", async () => {
    const { host, port } = plane.xds
    const path = join(folder, 'bootstrap', `${host}-${port}.token`)
    assert.equal(statSync(path).mode & 0o777, 0o600)
    const token = readFileSync(path, 'utf8').trim()
    const metadata = { NAMESPACE: 'a', SERVICE_ACCOUNT: 'b' }
    assert.equal(idOf((await ask({ token, metadata })).chain), 'spiffe://cluster.local/ns/a/sa/b')
    assert.equal((await ask({ token })).status, 7)
    const bad = { NAMESPACE: 'a/sa/x', SERVICE_ACCOUNT: 'b' }
    assert.equal((await ask({ token, metadata: bad })).status, 7)
    assert.equal((await ask({ token: `${token}x`, metadata })).status, 16)
  })

  test('for the certificate before, over TLS', async () => {
    const key = newKey()
    const { chain } = await ask({ token: podToken(), csrPem: csrOf(key) })
    const renewing = openSession(secure, {
      cert: chain.slice(0, -1).join(''),
      key: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    })
    open.push(renewing)
    assert.equal(idOf((await ask({}, renewing)).chain), CART)
  })

  test('for as long as was asked for, within bounds', async () => {
    const endOf = async (validitySeconds: number) => {
      const { chain } = await ask({ token: podToken(), validitySeconds })
      const [leaf = Buffer.alloc(0)] = derOf(chain)
      const verified = verifySvid(derOf(chain).slice(0, -1), rootsOf(chain), Date.now())
      assert.ok(verified.ok, leaf.toString('hex'))
      return (verified.notAfterMs - Date.now()) / 1_000
    }
    assert.ok(Math.abs((await endOf(600)) - 600) < 60)
    assert.ok(Math.abs((await endOf(0)) - 86_400) < 60)
    assert.ok(Math.abs((await endOf(1e12)) - 86_400) < 60)
    assert.ok(Math.abs((await endOf(-5)) - 86_400) < 60)
  })
})

function rootsOf(chain: readonly string[]) {
  return new Map([['cluster.local', derOf(chain).slice(-1)]])
}

describe('R39: no certificate is given', () => {
  const foreign = generateKeyPairSync('rsa', { modulusLength: 1_024 }).privateKey
  const cases: readonly [string, () => Promise<Proof> | Proof, number][] = [
    ['without a proof', () => ({}), 16],
    ['for an empty token', () => ({ token: '' }), 16],
    ['for a join token that nobody made', () => ({ token: `wjt_${'a'.repeat(43)}` }), 16],
    ['for a join token with its pin', async () => ({ token: `${await newToken()}@sha256:00` }), 16],
    [
      'for the join token of another node',
      async () => ({ token: await newToken({ node: 'a' }), metadata: { NODE_ID: 'b' } }),
      16,
    ],
    ['for a token of another issuer', () => ({ token: podToken({ iss: 'https://evil' }) }), 16],
    ['for a token of another audience', () => ({ token: podToken({ aud: 'other' }) }), 16],
    ['for a token without an audience', () => ({ token: podToken({ aud: undefined }) }), 16],
    ['for a token that has ended', () => ({ token: podToken({ exp: 1 }) }), 16],
    ['for a token of nobody', () => ({ token: podToken({ sub: 'ann' }) }), 16],
    [
      'for a token with a path in its name',
      () => ({ token: podToken({ sub: 'system:serviceaccount:shop:a/b' }) }),
      16,
    ],
    ['for a token by another key', () => ({ token: `${podToken().slice(0, -4)}AAAA` }), 16],
    [
      'for claims that no rule is for',
      () => ({ token: jwt({ iss: CI, aud: 'weft', exp: inAnHour(), repo: 'evil', env: 'x' }) }),
      16,
    ],
    [
      'for a claim that is no name',
      () => ({
        token: jwt({ iss: CI, aud: 'weft', exp: inAnHour(), repo: 'acme/shop', env: '../x' }),
      }),
      16,
    ],
    ['for no CSR', () => ({ token: podToken(), csrPem: '' }), 3],
    ['for two CSRs', () => ({ token: podToken(), csrPem: csrOf(newKey()) + csrOf(newKey()) }), 3],
    ['for a CSR that is no base64', () => ({ token: podToken(), csrPem: pemOf('!!') }), 3],
    ['for a CSR that is noise', () => ({ token: podToken(), csrPem: pemOf('AAAA') }), 3],
    ['for a weak key', () => ({ token: podToken(), csrPem: csrOf(foreign) }), 3],
  ]
  for (const [what, proofOf, code] of cases) {
    test(what, async () => {
      const { status, chain } = await ask(await proofOf())
      assert.deepEqual([status, chain], [code, []])
    })
  }

  test('for the key of somebody else', async () => {
    const csrPem = csrOf(newKey())
    assert.equal((await ask({ token: podToken(), csrPem })).status, 0)
    const other = podToken({ sub: 'system:serviceaccount:shop:web' })
    const { status, text } = await ask({ token: other, csrPem })
    assert.equal(status, 3)
    assert.match(text, /belongs to another identity/)
  })

  test('for a bad CSR, and the join token is still good', async () => {
    const token = await newToken()
    assert.equal((await ask({ token, csrPem: 'x' })).status, 3)
    assert.equal((await ask({ token })).status, 0)
  })
})

function pemOf(body: string): string {
  return `-----BEGIN CERTIFICATE REQUEST-----\n${body}\n-----END CERTIFICATE REQUEST-----\n`
}

describe('R65: a join token', () => {
  test('is good once, whoever is quickest of a hundred', async () => {
    const token = await newToken()
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask({ token })))
    assert.equal(answers.filter(({ status }) => status === 0).length, 1)
  })

  test('is good as often as it says', async () => {
    const token = await newToken({ uses: 3 })
    const statuses = []
    for (let i = 0; i < 4; i++) statuses.push((await ask({ token })).status)
    assert.deepEqual(statuses, [0, 0, 0, 16])
  })

  test('that was revoked is good no more', async () => {
    const { json } = await post('/v1/join-tokens', { namespace: 'shop', serviceAccount: 'cart' })
    const { id, token } = json as { id: string; token: string }
    assert.equal((await post('/v1/join-tokens/revoke', { id })).status, 200)
    assert.equal((await post('/v1/join-tokens/revoke', { id })).status, 404)
    assert.equal((await ask({ token: token.split('@')[0] ?? '' })).status, 16)
  })

  test('carries the hash of the root, and is nowhere on disk or in a list', async () => {
    const { json } = await post('/v1/join-tokens', { namespace: 'shop', serviceAccount: 'cart' })
    const { token } = json as { token: string }
    const [secret = '', pin] = token.split('@')
    const { roots } = await get<{ roots: readonly { sha256: string }[] }>('/v1/ca')
    assert.equal(pin, `sha256:${roots[0]?.sha256}`)
    assert.equal(JSON.stringify(await get('/v1/join-tokens')).includes(secret), false)
    for (const file of readdirSync(join(folder, 'state', 'ca'))) {
      assert.equal(readFileSync(join(folder, 'state', 'ca', file), 'utf8').includes(secret), false)
    }
  })

  for (const [what, body] of [
    ['no name', { namespace: '../x', serviceAccount: 'a' }],
    ['no account', { namespace: 'x' }],
    ['no time', { namespace: 'x', serviceAccount: 'a', ttlSeconds: 0 }],
    ['no use', { namespace: 'x', serviceAccount: 'a', uses: 0 }],
    ['half a use', { namespace: 'x', serviceAccount: 'a', uses: 0.5 }],
  ] as const) {
    test(`for ${what} is not made`, async () => {
      assert.equal((await post('/v1/join-tokens', body)).status, 400)
    })
  }
})

describe('the TLS port', () => {
  test('shows a chain that ends with the root, for the name that Istio knows', async () => {
    const stranger = openSession(secure, {})
    open.push(stranger)
    const answered = await ask({ token: podToken() }, stranger)
    const socket = stranger.socket as import('node:tls').TLSSocket
    const shown = socket.getPeerCertificate(true)
    assert.match(shown.subjectaltname ?? '', /DNS:istiod\.istio-system\.svc/)
    assert.match(shown.subjectaltname ?? '', /ns\/istio-system\/sa\/istiod/)
    assert.equal(socket.getProtocol(), 'TLSv1.3')
    let last = shown
    while (last.issuerCertificate !== last) last = last.issuerCertificate
    assert.deepEqual(last.raw, readPem(answered.chain.at(-1) ?? '', 'CERTIFICATE')[0])
  })
})

test('the bootstrap token ends with the control plane', async () => {
  const path = join(folder, 'second')
  const second = await startControlPlane({
    sources: [join(folder, 'mesh.yaml')],
    xds: ANY,
    admin: ANY,
    ca: { bootstrapFolder: path },
  })
  assert.deepEqual(
    readdirSync(path)
      .map((name) => name.replace(/^.*\./, ''))
      .sort(),
    ['admin-token', 'token'],
  )
  await second.close()
  assert.equal(existsSync(path) && readdirSync(path).length, 0)
})

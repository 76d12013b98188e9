/** R38: the user's own CA, from a folder as OpenSSL's users make it, and what is said of bad ones. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { verifySvid } from '@weft/identity'
import { type ControlPlane, startControlPlane } from '../control-plane.ts'
import type { CaStatus } from './ca-status.ts'
import { askFor, derOf, openSession } from './test-ca-client.ts'

const ANY = { host: '127.0.0.1', port: 0 }
const base = mkdtempSync(join(tmpdir(), 'weft-own-ca-'))
after(() => rmSync(base, { recursive: true, force: true }))

const read = (name: string) => readFileSync(join(base, name), 'utf8')

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { cwd: base, stdio: 'pipe' })
}

/** `NAME.crt` and `NAME.key`: RSA like Istio's own makefiles make them. */
function newCa(name: string, parent: string | undefined, days: string, isCa = true): void {
  const rules = isCa
    ? 'basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\n'
    : 'basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\n'
  writeFileSync(join(base, `${name}.ext`), `${rules}subjectKeyIdentifier=hash\n`)
  const subject = ['-subj', `/O=Acme/CN=${name}`]
  openssl('genrsa', '-out', `${name}.key`, '2048')
  openssl('req', '-new', '-key', `${name}.key`, ...subject, '-out', `${name}.csr`)
  const signer =
    parent === undefined
      ? ['-signkey', `${name}.key`]
      : ['-CA', `${parent}.crt`, '-CAkey', `${parent}.key`, '-CAcreateserial']
  const life = ['-days', days, '-extfile', `${name}.ext`, '-out', `${name}.crt`]
  openssl('x509', '-req', '-sha256', '-in', `${name}.csr`, ...signer, ...life)
}

before(() => {
  newCa('root', undefined, '365')
  newCa('policy', 'root', '300')
  newCa('east', 'policy', '200')
  newCa('leaf', 'policy', '200', false)
  newCa('other', undefined, '365')
})

type Files = Readonly<Record<string, string>>
const right = (): Files => ({
  'ca-cert.pem': read('east.crt'),
  'ca-key.pem': read('east.key'),
  'cert-chain.pem': `${read('east.crt')}${read('policy.crt')}${read('root.crt')}`,
  'root-cert.pem': read('root.crt'),
})

function folderOf(t: TestContext, files: Files): string {
  const folder = mkdtempSync(join(base, 'cacerts-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}

async function open(t: TestContext, ownCaFolder?: string): Promise<ControlPlane> {
  const plane = await startControlPlane({
    sources: [join(base, 'none.yaml')],
    xds: ANY,
    admin: ANY,
    ca: ownCaFolder === undefined ? {} : { ownCaFolder },
  })
  t.after(() => plane.close())
  return plane
}

async function ask<T>(plane: ControlPlane, path: string, body?: object): Promise<T> {
  const { host, port } = plane.admin
  const response = await fetch(`http://${host}:${port}${path}`, {
    headers: { 'content-type': 'application/json', authorization: `Bearer ${plane.ownerToken}` },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  })
  return (await response.json()) as T
}

async function certificateOf(t: TestContext, plane: ControlPlane): Promise<readonly string[]> {
  const account = { namespace: 'shop', serviceAccount: 'cart' }
  const { token } = await ask<{ token: string }>(plane, '/v1/join-tokens', account)
  const session = openSession(plane.xds)
  t.after(() => session.destroy())
  return (await askFor(session, { token: token.split('@')[0] ?? '' })).chain
}

describe("R38: the user's own CA, from files", () => {
  for (const [order, chain] of [
    ['in order', ['east', 'policy', 'root']],
    ['without signer and root', ['policy']],
    ['upside down', ['root', 'policy', 'east']],
  ] as const) {
    test(`signs, its chain ${order}: OpenSSL goes from leaf to root`, async (t) => {
      const files = {
        ...right(),
        'cert-chain.pem': chain.map((name) => read(`${name}.crt`)).join(''),
      }
      const plane = await open(t, folderOf(t, files))
      const given = await certificateOf(t, plane)
      const [leaf = '', ...above] = given
      assert.equal(above.length, 3)
      const roots = new Map([['cluster.local', derOf([read('root.crt')])]])
      assert.equal(verifySvid(derOf(given.slice(0, -1)), roots, Date.now()).ok, true)
      const folder = folderOf(t, { 'leaf.pem': leaf, 'above.pem': above.join('') })
      openssl(
        ...['verify', '-x509_strict', '-CAfile', 'root.crt'],
        ...['-untrusted', join(folder, 'above.pem'), join(folder, 'leaf.pem')],
      )
    })
  }

  const wrong = (): readonly (readonly [string, Files, RegExp])[] => [
    ['the key of another', { 'ca-key.pem': read('other.key') }, /key is not that of the cert/],
    ['a key that is none', { 'ca-key.pem': 'secret' }, /key is no PEM of a private key/],
    ['the root of another', { 'root-cert.pem': read('other.crt') }, /does not lead to the root/],
    [
      'a signer missing in between',
      { 'cert-chain.pem': read('east.crt') },
      /no certificate of its issuer \(O=Acme, CN=policy\)/,
    ],
    [
      'what is no CA',
      { 'ca-cert.pem': read('leaf.crt'), 'ca-key.pem': read('leaf.key') },
      /it is no CA certificate/,
    ],
    ['no certificate', { 'ca-cert.pem': 'hello' }, /ca-cert\.pem has no certificate/],
  ]

  test('is refused where it is wrong, with what is wrong, and the one before goes on', async (t) => {
    const plane = await open(t)
    const before = await ask(plane, '/v1/ca/bundle')
    for (const [what, files, problem] of wrong()) {
      const body = { files: { ...right(), ...files } }
      const { error } = await ask<{ error: string }>(plane, '/v1/ca/import', body)
      assert.match(error, problem, what)
      assert.ok(!error.includes('PRIVATE KEY'), 'no key in an error')
    }
    const { 'ca-key.pem': _, ...keyless } = right()
    const lacking = await ask<{ error: string }>(plane, '/v1/ca/import', { files: keyless })
    assert.match(lacking.error, /ca-key\.pem is missing/)
    assert.deepEqual(await ask(plane, '/v1/ca/bundle'), before)
    assert.equal((await certificateOf(t, plane)).length > 0, true)
  })

  test('in a folder that is wrong is told in the status, and nobody gets a certificate of it', async (t) => {
    for (const [what, files, problem] of wrong()) {
      const plane = await open(t, folderOf(t, { ...right(), ...files }))
      const { state, problems } = await ask<CaStatus>(plane, '/v1/ca')
      assert.equal(state, 'unavailable', what)
      assert.match(problems.join(), problem, what)
      assert.deepEqual(await certificateOf(t, plane), [])
    }
  })

  test('that has expired is refused', async (t) => {
    newCa('gone', 'root', '-1')
    const files = {
      'ca-cert.pem': read('gone.crt'),
      'ca-key.pem': read('gone.key'),
      'root-cert.pem': read('root.crt'),
    }
    const plane = await open(t)
    const { error } = await ask<{ error: string }>(plane, '/v1/ca/import', { files })
    assert.match(error, /the signer \(O=Acme, CN=gone\): it expired at/)
  })
})

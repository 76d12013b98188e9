/** Whoever reads the files finds a certificate and its key, at every moment. */
import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { silentLogger } from '@weft/base'
import { CertificateAuthority, DEFAULT_CA_POLICY, readPem } from '@weft/identity'
import { newRequest, readSvid } from '../identity/svid.ts'
import type { HeldIdentity } from '../identity/workload-api/serve-identity.ts'
import { CERTIFICATE_FILES } from './certificate-file-names.ts'
import { CertificateFiles } from './certificate-files.ts'

const folder = mkdtempSync(join(tmpdir(), 'weft-files-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const NOW_MS = Date.now()
const ca = await CertificateAuthority.open(
  'mesh.example',
  {
    store: { load: () => Promise.resolve(undefined), save: () => Promise.resolve() },
    wallMs: () => NOW_MS,
    monotonicMs: () => 0,
  },
  DEFAULT_CA_POLICY,
)

function held(): HeldIdentity {
  const { key, csrPem } = newRequest()
  const [csr = Buffer.alloc(0)] = readPem(csrPem, 'CERTIFICATE REQUEST')
  const issued = ca.issue(csr, { trustDomain: 'mesh.example', path: '/ns/a/sa/b' })
  assert.ok(issued.ok)
  const chain = issued.svid.chain.map(
    (der) => `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`,
  )
  const read = readSvid([...chain, ca.bundlePem], key, NOW_MS)
  assert.ok(read.ok)
  return { svid: read.svid, bundles: new Map([['mesh.example', ca.spiffeBundle]]) }
}

function fits(where: string): boolean {
  const certificate = new X509Certificate(readFileSync(join(where, CERTIFICATE_FILES.chain)))
  return certificate.checkPrivateKey(
    createPrivateKey(readFileSync(join(where, CERTIFICATE_FILES.key))),
  )
}

test('the files are there, belong together, and are for their owner only', async () => {
  const where = join(folder, 'first')
  await new CertificateFiles(where, silentLogger).write(held())
  assert.ok(fits(where))
  assert.equal(statSync(where).mode & 0o777, 0o700)
  for (const name of Object.values(CERTIFICATE_FILES)) {
    assert.equal(statSync(join(where, name)).mode & 0o777, 0o600, name)
  }
  const { trust_domains: domains } = JSON.parse(
    readFileSync(join(where, CERTIFICATE_FILES.bundles), 'utf8'),
  )
  assert.deepEqual(Object.keys(domains), ['mesh.example'])
})

test('all of them change by one rename, and what was read half stays readable', async () => {
  const where = join(folder, 'second')
  const files = new CertificateFiles(where, silentLogger)
  await files.write(held())
  const before = readlinkSync(join(where, '..data'))
  const key = readFileSync(join(where, CERTIFICATE_FILES.key), 'utf8')
  await files.write(held())
  assert.notEqual(readlinkSync(join(where, '..data')), before)
  assert.notEqual(readFileSync(join(where, CERTIFICATE_FILES.key), 'utf8'), key)
  assert.equal(readFileSync(join(where, before, CERTIFICATE_FILES.key), 'utf8'), key)
  assert.ok(fits(where))
})

test('versions that nobody reads any more are gone, and the same again writes nothing', async () => {
  const where = join(folder, 'third')
  const files = new CertificateFiles(where, silentLogger)
  for (let i = 0; i < 4; i++) await files.write(held())
  const last = held()
  await files.write(last)
  const versions = () => readdirSync(where).filter((name) => name.startsWith('..v'))
  assert.equal(versions().length, 2)
  const link = statSync(join(where, '..data')).ino
  await files.write(last)
  assert.equal(statSync(join(where, '..data')).ino, link)
})

test('somebody else’s file is not replaced', async () => {
  const where = join(folder, 'fourth')
  const files = new CertificateFiles(where, silentLogger)
  await files.write(held())
  rmSync(join(where, CERTIFICATE_FILES.key))
  writeFileSync(join(where, CERTIFICATE_FILES.key), 'mine')
  await files.write(held())
  assert.equal(readFileSync(join(where, CERTIFICATE_FILES.key), 'utf8'), 'mine')
})

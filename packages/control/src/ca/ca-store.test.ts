import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type CaStore, CertificateAuthority } from '@weft/identity'
import { fileCaStore } from './ca-store.ts'
import { exportCaKeys } from './export-keys.ts'
import { authorityFilesOf, readOwnCa } from './own-ca-files.ts'

const NOW_MS = Date.UTC(2026, 5, 1)

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'weft-ca-store-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

function open(store: CaStore): Promise<CertificateAuthority> {
  const deps = { store, wallMs: () => NOW_MS, monotonicMs: () => 0 }
  return CertificateAuthority.open('cluster.local', deps)
}

test('what was stored opens again, for its owner only', async (t) => {
  const folder = join(folderOf(t), 'ca')
  const first = await open(fileCaStore(folder))
  await first.rotate()
  const again = await open(fileCaStore(folder))
  assert.deepEqual(again.bundle, first.bundle)
  assert.deepEqual(readdirSync(folder), ['ca.json'])
  assert.equal(statSync(join(folder, 'ca.json')).mode & 0o777, 0o600)
  assert.equal(statSync(folder).mode & 0o777, 0o700)
})

test('F32: what a crash left half written is not read, and does not stop the next step', async (t) => {
  const folder = folderOf(t)
  const before = (await open(fileCaStore(folder))).bundle
  writeFileSync(join(folder, `.ca.json.${process.pid}.99.tmp`), '{"format":"weft-ca-1","tru')
  const again = await open(fileCaStore(folder))
  assert.deepEqual(again.bundle, before)
  await again.rotate()
  assert.equal((await open(fileCaStore(folder))).bundle.kind, 'distributing')
})

test('F32: a disk that takes nothing leaves the state as it was', async (t) => {
  const folder = folderOf(t)
  const ca = await open(fileCaStore(folder))
  const text = readFileSync(join(folder, 'ca.json'), 'utf8')
  const full: CaStore = {
    load: fileCaStore(folder).load,
    save: fileCaStore(join(folder, 'ca.json')).save,
  }
  const broken = await open(full)
  await assert.rejects(broken.rotate())
  assert.equal(broken.bundle.kind, 'steady')
  assert.equal(readFileSync(join(folder, 'ca.json'), 'utf8'), text)
  assert.deepEqual(broken.bundle, ca.bundle)
})

test('a passphrase seals what was open, and then nothing opens without it', async (t) => {
  const folder = folderOf(t)
  const path = join(folder, 'ca.json')
  const { bundle } = await open(fileCaStore(folder))
  assert.match(readFileSync(path, 'utf8'), /PRIVATE KEY/)
  assert.deepEqual((await open(fileCaStore(folder, 'secret'))).bundle, bundle)
  assert.doesNotMatch(readFileSync(path, 'utf8'), /PRIVATE KEY/)
  await assert.rejects(open(fileCaStore(folder)), /passphrase is needed/)
  await assert.rejects(open(fileCaStore(folder, 'wrong')), /passphrase is wrong/)
  assert.deepEqual((await open(fileCaStore(folder, 'secret'))).bundle, bundle)
})

test('a file that is no CA is said to be none, and stays', async (t) => {
  const folder = folderOf(t)
  for (const text of ['', '{', 'null', '[]', '{"format":"weft-ca-1"}', '{"format":"other"}']) {
    writeFileSync(join(folder, 'ca.json'), text)
    await assert.rejects(open(fileCaStore(folder)), /Cannot open CA/)
    assert.equal(readFileSync(join(folder, 'ca.json'), 'utf8'), text)
  }
})

test("what is exported is what Istio's files are, and opens another CA of the same root", async (t) => {
  const folder = folderOf(t)
  const ca = await open(fileCaStore(folder, 'secret'))
  const files = await exportCaKeys(folder, 'secret')
  const out = join(folder, 'out')
  for (const [name, text = ''] of Object.entries(files)) {
    assert.match(text, /-----BEGIN /)
    writeFileSync(join(folder, name), text)
  }
  const read = await readOwnCa(folder)
  assert.ok(read !== undefined)
  const deps = {
    store: fileCaStore(out),
    wallMs: () => NOW_MS,
    monotonicMs: () => 0,
  }
  const own = authorityFilesOf(read)
  const other = await CertificateAuthority.open('cluster.local', deps, undefined, own)
  assert.equal(other.bundlePem, ca.bundlePem)
  assert.equal(other.signerNotAfterMs, ca.signerNotAfterMs)
  assert.throws(() => authorityFilesOf({ 'ca-key.pem': 'x' }), /root-cert.pem is missing/)
})

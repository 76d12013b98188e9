/** Foreign bundles are kept fresh, never replaced by older ones, and never lost. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { silentLogger } from '@weft/base'
import { createRoot, readPem, renderSpiffeBundle } from '@weft/identity'
import { eventually, FakeClock } from '@weft/testkit'
import { parseFederation } from './federation-options.ts'
import type { FetchedBundle } from './fetch-bundle.ts'
import { ForeignBundles } from './foreign-bundles.ts'

const folder = mkdtempSync(join(tmpdir(), 'weft-foreign-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function document(sequence: number): string {
  const { rootPem } = createRoot('other.example', { nowMs: Date.now(), lifetimeMs: 3_600_000 })
  const roots = readPem(rootPem, 'CERTIFICATE')
  const trustDomain = 'other.example'
  return renderSpiffeBundle({ trustDomain, roots, jwtKeys: [], sequence, refreshHintMs: 60_000 })
}

async function opened(answers: FetchedBundle[], keep?: string, bundle?: string) {
  const clock = new FakeClock()
  const seen = { asked: 0, changes: 0 }
  const foreign = await ForeignBundles.open(
    [
      {
        trustDomain: 'other.example',
        bundleUrl: 'https://other.example/',
        profile: { kind: 'https_web' },
        ...(bundle === undefined ? {} : { bundle }),
      },
    ],
    keep,
    {
      clock,
      random: () => 0,
      log: silentLogger,
      onChange: () => {
        seen.changes++
      },
      fetch: () => {
        seen.asked++
        const answer = answers.shift() ?? { ok: false as const, problem: 'nobody is there' }
        return Promise.resolve(answer)
      },
    },
  )
  const next = async (ms: number) => {
    const before = seen.asked
    clock.advance(ms)
    await eventually(() => assert.equal(seen.asked, before + 1))
    await new Promise((resolve) => setImmediate(resolve))
  }
  const sequence = () => foreign.bundles()[0]?.sequence
  return { foreign, seen, next, sequence }
}
const had = (sequence: number): FetchedBundle => ({ ok: true, text: document(sequence) })

test('it is asked for again after the refresh hint, and a newer one is taken', async () => {
  const { foreign, seen, next, sequence } = await opened([had(1), had(2)])
  await eventually(() => assert.equal(sequence(), 1))
  await next(60_000)
  await eventually(() => assert.equal(sequence(), 2))
  assert.equal(seen.changes, 2)
  foreign.close()
})

test('an older one, one that is none, one without roots, and no answer leave the known one', async () => {
  const empty = '{"keys":[],"spiffe_sequence":9}'
  const answers: FetchedBundle[] = [
    had(5),
    had(4),
    { ok: true, text: 'x' },
    { ok: true, text: empty },
  ]
  const { foreign, next, sequence } = await opened(answers)
  await eventually(() => assert.equal(sequence(), 5))
  for (const problem of [/older/, /no JSON/, /no certificate authority/, /nobody is there/]) {
    await next(400_000)
    await eventually(() => assert.match(foreign.status()[0]?.problem ?? '', problem))
    assert.equal(sequence(), 5)
  }
  foreign.close()
})

test('what was known survives a restart, and goes before what was configured', async () => {
  const first = await opened([had(7)], folder)
  await eventually(() => assert.equal(first.sequence(), 7))
  await eventually(async () => {
    const again = await opened([], folder, document(3))
    again.foreign.close()
    assert.equal(again.sequence(), 7)
  })
  first.foreign.close()
})

const problemOf = (entry: object) => {
  try {
    parseFederation(JSON.stringify([entry]), () => 'text')
    return 'taken'
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

test('what the operator wrote is judged where it is wrong', () => {
  const web = { trustDomain: 'other.example', bundleUrl: 'https://other.example/' }
  const endpointSpiffeId = 'spiffe://other.example/server'
  const spiffe = { ...web, profile: 'https_spiffe', endpointSpiffeId, bundleFile: 'x' }
  assert.equal(problemOf(web), 'taken')
  assert.equal(problemOf(spiffe), 'taken')
  assert.match(problemOf({ ...web, bundleUrl: 'http://other.example/' }), /\[0\].*https/)
  assert.match(problemOf({ ...web, trustDomain: 'Other' }), /\[0\].*trustDomain/)
  assert.match(problemOf({ ...spiffe, endpointSpiffeId: 'x' }), /endpointSpiffeId/)
  assert.match(problemOf({ ...spiffe, bundleFile: undefined }), /bundleFile/)
  assert.match(problemOf({ ...web, profile: 'ftp' }), /profile/)
  assert.match(problemOf({ trustDomain: 'other.example' }), /bundleUrl or bundleFile/)
})

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import { FakeClock } from '@weft/testkit'
import { testSource } from './conformance.ts'
import { FileSource } from './file.ts'
import { LastGoodTexts } from './files/last-good.ts'
import type { SourceState } from './source.ts'

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'weft-source-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** Its clock stands still: what the tests see was found by looking, not by waiting. */
function open(t: TestContext, path: string, clock = new FakeClock(), lastGood?: LastGoodTexts) {
  const source = new FileSource(
    { path },
    { clock, log: silentLogger, ...(lastGood && { lastGood }) },
  )
  t.after(() => source[Symbol.asyncDispose]())
  return source
}

async function look(source: FileSource): Promise<SourceState> {
  await source.rescan()
  for await (const state of source.watch(AbortSignal.timeout(5_000))) return state
  throw new Error('the source yielded nothing')
}

const rule = (name: string, host = 'reviews') =>
  `apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: ${name}}\nspec: {host: ${host}}\n`

const names = ({ documents }: SourceState) => documents.map(({ metadata }) => metadata.name)

testSource('file', async (t) => {
  const path = folder(t)
  const source = open(t, path)
  return {
    source,
    async put(name, text) {
      const file = join(path, `${name}.yaml`)
      if (text === undefined) rmSync(file)
      else writeFileSync(file, text)
      await source.rescan()
    },
  }
})

test('a half-written file changes nothing, wherever it is cut', async (t) => {
  const path = folder(t)
  const file = join(path, 'all.yaml')
  const whole = rule('one')
  for (let cut = 1; cut < whole.length; cut++) {
    writeFileSync(file, whole)
    const source = open(t, path)
    const before = await look(source)
    writeFileSync(file, whole.slice(0, cut))
    const after = await look(source)
    // A cut that leaves a valid object, or a name that is merely shorter, is no longer half-written.
    const isWhole =
      after.refused.length === 0 && after.problems.every((one) => one.severity !== 'error')
    if (!isWhole) assert.deepEqual(after.documents, before.documents, `cut at ${cut}`)
    assert.equal(after.documents.length, 1, `cut at ${cut}`)
    await source[Symbol.asyncDispose]()
  }
})

test('a file that lost its end is taken for one being written, until it stays so', async (t) => {
  const path = folder(t)
  const file = join(path, 'a.yaml')
  const clock = new FakeClock()
  const source = open(t, path, clock)
  writeFileSync(file, rule('a'))
  assert.deepEqual(names(await look(source)), ['a'])
  writeFileSync(file, '')
  assert.deepEqual(names(await look(source)), ['a'])
  clock.advance(1_000)
  assert.deepEqual(names(await look(source)), [])
})

test("an editor's rename over a file and a mounted link are changes like any other", async (t) => {
  const path = folder(t)
  const source = open(t, path)
  writeFileSync(join(path, 'a.yaml'), rule('a'))
  writeFileSync(join(path, '.a.yaml.swp'), 'noise')
  writeFileSync(join(path, 'a.yaml~'), rule('backup'))
  assert.deepEqual(names(await look(source)), ['a'])
  writeFileSync(join(path, '.a.tmp'), rule('renamed'))
  renameSync(join(path, '.a.tmp'), join(path, 'a.yaml'))
  assert.deepEqual(names(await look(source)), ['renamed'])
  const outside = folder(t)
  writeFileSync(join(outside, 'mounted.yaml'), rule('mounted'))
  symlinkSync(join(outside, 'mounted.yaml'), join(path, 'b.yaml'))
  mkdirSync(join(path, 'deeper'))
  writeFileSync(
    join(path, 'deeper', 'c.json'),
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'c' },
      spec: { ports: [{ port: 80 }] },
    }),
  )
  assert.deepEqual(names(await look(source)), ['renamed', 'mounted', 'c'])
})

test('a folder that is not there yet, or goes, is an empty one', async (t) => {
  const path = join(folder(t), 'later')
  const source = open(t, path)
  assert.deepEqual(names(await look(source)), [])
  mkdirSync(path)
  writeFileSync(join(path, 'a.yaml'), rule('a'))
  assert.deepEqual(names(await look(source)), ['a'])
  rmSync(path, { recursive: true })
  assert.deepEqual(names(await look(source)), [])
})

test('the kernel’s events are enough: nobody has to poll', async (t) => {
  const path = folder(t)
  const source = new FileSource({ path, pollMs: 600_000 }, { clock: realClock, log: silentLogger })
  t.after(() => source[Symbol.asyncDispose]())
  await source.rescan()
  writeFileSync(join(path, 'a.yaml'), rule('a'))
  for await (const state of source.watch(AbortSignal.timeout(5_000))) {
    if (names(state).length === 1) return
  }
  assert.fail('the change was not noticed')
})

test('polling finds what no event told', async (t) => {
  const path = folder(t)
  const clock = new FakeClock()
  const source = open(t, path, clock)
  await source.rescan()
  writeFileSync(join(path, 'a.yaml'), rule('a'))
  // The poll's own look is under way when its timer has fired.
  clock.advance(2_000)
  assert.deepEqual(names(await look(source)), ['a'])
})

test('what was good before a restart is in force after it, while the file is broken', async (t) => {
  const path = folder(t)
  const kept = folder(t)
  writeFileSync(join(path, 'a.yaml'), `${rule('a')}---\n${rule('b')}`)
  const first = open(t, path, new FakeClock(), new LastGoodTexts(kept))
  assert.deepEqual(names(await look(first)), ['a', 'b'])
  await first[Symbol.asyncDispose]()
  writeFileSync(join(path, 'a.yaml'), `${rule('a')}---\nkind: [`)
  const second = open(t, path, new FakeClock(), new LastGoodTexts(kept))
  const state = await look(second)
  assert.deepEqual(names(state), ['a', 'b'])
  assert.equal(state.refused[0]?.keptLastGood, true)
})

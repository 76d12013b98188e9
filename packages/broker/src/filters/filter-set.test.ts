import assert from 'node:assert/strict'
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import { eventually } from '@weft/testkit'
import { echo, openBroker, routed } from '../broker-fixture.ts'
import { type FilterFolder, filterFolder } from './filter-fixture.ts'
import { FilterSet } from './filter-set.ts'

const deps = { clock: realClock, log: silentLogger }
const lookMs = 5

/** A filter that puts a text before each answer. */
function prefixing(text: string): string {
  return `
    type Direction = 'request' | 'response'
    export default {
      needs: ['response-items'],
      create: () => ({
        onItem: (item: { data: Uint8Array }, _direction: Direction) => ({
          replace: { data: Buffer.from('${text}' + Buffer.from(item.data)) },
        }),
      }),
    }`
}

async function opened(folder: FilterFolder) {
  const filters = await FilterSet.open({ paths: [folder.path], lookMs }, deps)
  const fixture = await openBroker({}, { filters })
  const responder = await fixture.dial({ services: ['a.B'] })
  responder.answer = echo()
  const requester = await fixture.dial()
  const ask = async () => (await requester.ask('rr', routed('a.B.c', 'x')))[0]
  const end = async () => {
    fixture.broker.close()
    filters.close()
    await folder.end()
  }
  return { ...fixture, filters, requester, ask, end }
}

test('a folder of TypeScript files is loaded, and again when they change', async () => {
  const folder = await filterFolder()
  await folder.write('one.ts', prefixing('1'))
  await folder.write('notes.md', 'no filter')
  await folder.write('one.test.ts', 'throw new Error("no filter")')
  const { filters, ask, end } = await opened(folder)
  assert.equal(await ask(), '1x')
  assert.deepEqual(
    filters.rows().map(({ name, generation, state }) => [name, generation, state]),
    [['one', 1, 'active']],
  )
  await folder.write('one.ts', prefixing('uno'))
  await eventually(async () => assert.equal(await ask(), 'unox'))
  assert.equal(filters.rows()[0]?.generation, 2)
  await folder.write('two.ts', prefixing('2'))
  await eventually(async () => assert.equal(await ask(), 'uno2x'))
  await folder.write('two.json', '{"match": {"services": ["other.*"]}}')
  await eventually(async () => assert.equal(await ask(), 'unox'))
  await folder.remove('one.ts')
  await eventually(async () => assert.equal(await ask(), 'x'))
  await end()
})

test('a file that does not load leaves its last good load at work, and says why', async () => {
  const folder = await filterFolder()
  await folder.write('one.ts', prefixing('1'))
  const { filters, ask, end } = await opened(folder)
  const broken: readonly (readonly [string, RegExp])[] = [
    ['export default {', /./],
    ['export default 7', /must export a filter: export const filter/],
    ['export default {}', /neither create nor onConnect/],
    ["export default { create() {}, phase: 'first' }", /phase must be one of authn/],
    ["export default { create() {}, needs: ['all'] }", /needs must be one of data/],
    ['export default { create() {}, timeoutMs: 0 }', /timeoutMs must be a number from 1/],
    ['enum A { B }\nexport default { create() {} }', /enum/],
    ["export default { create() {}, open() { throw new Error('no cache') } }", /no cache/],
    ["export default { create() {}, parse() { throw new Error('bad limit') } }", /bad limit/],
  ]
  for (const [text, why] of broken) {
    await folder.write('one.ts', `// ${text.length}\n${text}`)
    await eventually(() => assert.match(filters.rows()[0]?.problem ?? '', why))
    assert.equal(await ask(), '1x')
    assert.equal(filters.rows()[0]?.state, 'active')
  }
  await folder.write('one.ts', prefixing('fine '))
  await eventually(async () => assert.equal(await ask(), 'fine x'))
  assert.equal(filters.rows()[0]?.problem, undefined)
  await folder.write('one.json', '{"matches": {}}')
  await eventually(() => assert.match(filters.rows()[0]?.problem ?? '', /'matches'/))
  assert.equal(await ask(), 'fine x')
  await end()
})

test('at the start every filter must load', async () => {
  const folder = await filterFolder()
  await folder.write('one.ts', 'export default {')
  await assert.rejects(FilterSet.open({ paths: [folder.path] }, deps), /one\.ts does not load/)
  await assert.rejects(FilterSet.open({ paths: [join(folder.path, 'none.ts')] }, deps), /ENOENT/)
  await folder.write('one.ts', prefixing('1'))
  await folder.write('two.ts', "export const filter = { name: 'one', create() {} }")
  await assert.rejects(FilterSet.open({ paths: [folder.path] }, deps), /a filter named 'one', too/)
  await folder.remove('two.ts')
  await chmod(join(folder.path, 'one.ts'), 0o666)
  await assert.rejects(FilterSet.open({ paths: [folder.path] }, deps), /everybody may write it/)
  await folder.end()
})

test('a filter that was named stays at work when its file is gone, and comes back with it', async () => {
  const folder = await filterFolder()
  await folder.write('one.ts', prefixing('1'))
  const filters = await FilterSet.open({ paths: [join(folder.path, 'one.ts')], lookMs }, deps)
  const names = () => filters.chain.map(({ settings }) => settings.name)
  await folder.remove('one.ts')
  await eventually(() => assert.equal(filters.rows()[0]?.problem, 'the file is gone'))
  assert.deepEqual(names(), ['one'])
  await folder.write('one.ts', prefixing('2'))
  await eventually(() => assert.equal(filters.rows()[0]?.problem, undefined))
  assert.equal(filters.rows()[0]?.generation, 2)
  assert.deepEqual(names(), ['one'])
  filters.close()
  await folder.end()
})

test('what a filter imports is loaded anew with it; what it keeps outlives that; configuration is checked', async () => {
  const folder = await filterFolder()
  await folder.write('_word.ts', "export const word: string = 'old'")
  await folder.write(
    'one.ts',
    `import { word } from './_word.ts'
     let kept: Map<string, unknown> | undefined
     export default {
       needs: ['response-items'],
       parse: (raw: unknown) => ({ mark: (raw as { mark: string }).mark }),
       open: (_config: unknown, host: { kept: Map<string, unknown> }) => {
         kept = host.kept
         kept.set('loads', Number(kept.get('loads') ?? 0) + 1)
       },
       create: (config: { mark: string }) => ({
         onItem: () => ({ replace: { data: Buffer.from(word + config.mark + String(kept?.get('loads'))) } }),
       }),
     }`,
  )
  await folder.write('one.json', '{"config": {"mark": "-"}}')
  const { ask, end } = await opened(folder)
  assert.equal(await ask(), 'old-1')
  await folder.write('_word.ts', "export const word: string = 'newer'")
  await eventually(async () => assert.equal(await ask(), 'newer-2'))
  await folder.write('one.json', '{"config": {"mark": "+"}}')
  await eventually(async () => assert.equal(await ask(), 'newer+3'))
  await end()
})

test('phases and priorities make the order; the JSON file goes before the code', async () => {
  const folder = await filterFolder()
  const named = (more: string) => `export default { create: () => undefined, ${more} }`
  await folder.write('a.ts', named("phase: 'observe'"))
  await folder.write('b.ts', named('priority: 1'))
  await folder.write('c.ts', named('priority: 2'))
  await folder.write('d.ts', named("phase: 'authz'"))
  await folder.write('e.ts', named(''))
  await folder.write('e.json', '{"priority": 9, "failStrategy": "FAIL_OPEN"}')
  const filters = await FilterSet.open({ paths: [folder.path] }, deps)
  assert.deepEqual(
    filters.rows().map(({ name, failStrategy }) => `${name} ${failStrategy}`),
    ['d FAIL_CLOSE', 'e FAIL_OPEN', 'c FAIL_CLOSE', 'b FAIL_CLOSE', 'a FAIL_OPEN'],
  )
  filters.close()
  await folder.end()
})

test('no request is lost while filters are replaced again and again', async () => {
  const folder = await filterFolder()
  await folder.write('one.ts', prefixing('0:'))
  const { filters, requester, end } = await opened(folder)
  const seen = new Set<string>()
  let asked = 0
  let isDone = false
  const load = Array.from({ length: 8 }, async () => {
    while (!isDone) {
      const [answer = ''] = await requester.ask('rr', routed('a.B.c', 'x'))
      assert.match(answer, /^\d+:x$/)
      seen.add(answer)
      asked++
    }
  })
  for (let generation = 1; generation <= 5; generation++) {
    await folder.write('one.ts', prefixing(`${generation}:`))
    if (generation === 3) {
      await eventually(() => assert.ok(seen.has('3:x')))
      await folder.write('one.ts', 'export default {')
      await eventually(() => assert.notEqual(filters.rows()[0]?.problem, undefined))
    } else await eventually(() => assert.ok(seen.has(`${generation}:x`)))
  }
  isDone = true
  await Promise.all(load)
  const [row] = filters.rows()
  assert.equal(row?.failures, 0)
  assert.equal(row?.streams, asked)
  assert.equal(row?.oldStreams, 0)
  await end()
})

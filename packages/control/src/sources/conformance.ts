/** What every source promises, once for all of them. Called from the members' tests. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Source, SourceState } from './source.ts'

export interface SourceFixture {
  readonly source: Source
  /** Makes the source hold exactly this YAML text under a name; `undefined` removes it. */
  put(name: string, text: string | undefined): Promise<void>
}

const OBJECT = (name: string, host: string) =>
  `{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: ${name}}, spec: {host: ${host}}}\n`

export function testSource(name: string, open: (t: TestContext) => Promise<SourceFixture>): void {
  const named = (promise: string) => `${name}: ${promise}`

  test(named('yields what there is, and again after a change'), async (t) => {
    const { source, put } = await open(t)
    await put('a', OBJECT('a', 'one'))
    assert.deepEqual(await namesIn(source), ['a'])
    await put('b', OBJECT('b', 'two'))
    assert.deepEqual(await namesIn(source), ['a', 'b'])
    await put('a', undefined)
    assert.deepEqual(await namesIn(source), ['b'])
  })

  test(named('hands over the same object while it does not change'), async (t) => {
    const { source, put } = await open(t)
    await put('a', OBJECT('a', 'one'))
    const [before] = (await newest(source)).documents
    await put('b', OBJECT('b', 'two'))
    assert.equal((await newest(source)).documents[0], before)
  })

  test(
    named('keeps the last good form of an object that became invalid, and says so'),
    async (t) => {
      const { source, put } = await open(t)
      await put('a', OBJECT('a', 'one'))
      await put('a', OBJECT('a', '{not: a host}'))
      const broken = await newest(source)
      assert.equal(broken.documents.length, 1)
      assert.equal(broken.refused[0]?.keptLastGood, true)
      assert.ok(broken.problems.some(({ severity }) => severity === 'error'))
    },
  )

  test(named('keeps everything while a text cannot be read as documents'), async (t) => {
    const { source, put } = await open(t)
    await put('a', `${OBJECT('a', 'one')}---\n${OBJECT('b', 'two')}`)
    await put('a', `${OBJECT('a', 'one')}---\n{kind: [`)
    const { documents, refused } = await newest(source)
    assert.deepEqual(
      documents.map(({ metadata }) => metadata.name),
      ['a', 'b'],
    )
    assert.equal(refused.length, 1)
  })

  test(named('ends when its reader does not want more'), async (t) => {
    const { source } = await open(t)
    const stop = new AbortController()
    const reader = source.watch(stop.signal)[Symbol.asyncIterator]()
    await reader.next()
    const next = reader.next()
    stop.abort()
    assert.equal((await next).done, true)
  })
}

async function newest(source: Source): Promise<SourceState> {
  for await (const state of source.watch(AbortSignal.timeout(5_000))) return state
  throw new Error('the source yielded nothing')
}

async function namesIn(source: Source): Promise<readonly string[]> {
  return (await newest(source)).documents.map(({ metadata }) => metadata.name).sort()
}

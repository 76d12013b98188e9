import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { silentLogger } from '@weft/base'
import { FakeClock } from '@weft/testkit'
import { NameResolver } from './name-resolver.ts'

const settle = () => new Promise((resolve) => setImmediate(resolve))

function fixture(maxConcurrent = 2) {
  const clock = new FakeClock()
  const zone = new Map<string, readonly string[]>([['a.example', ['10.0.0.2', '10.0.0.1']]])
  const asked: string[] = []
  let gate = Promise.resolve()
  let open = () => {}
  const resolver = new NameResolver(
    { refreshMs: 5_000, maxConcurrent, maxNames: 3 },
    {
      clock,
      log: silentLogger,
      lookup: async (name) => {
        asked.push(name)
        await gate
        const found = zone.get(name)
        if (found === undefined) throw new Error(`ENOTFOUND ${name}`)
        return found
      },
    },
  )
  const hold = () => {
    gate = new Promise((resolve) => {
      open = resolve
    })
  }
  return { clock, zone, asked, resolver, hold, release: () => open() }
}

describe('name resolver', () => {
  test('an address is its own answer and asks nobody', async () => {
    const { resolver, asked } = fixture()
    assert.deepEqual(await resolver.resolve('10.1.2.3'), ['10.1.2.3'])
    assert.deepEqual(await resolver.resolve('::1'), ['::1'])
    assert.deepEqual(asked, [])
  })

  test('an answer serves until it is due, then is served once more while a newer one is asked for', async () => {
    const { resolver, asked, clock, zone } = fixture()
    assert.deepEqual(await resolver.resolve('A.example'), ['10.0.0.1', '10.0.0.2'])
    zone.set('a.example', ['10.0.0.9'])
    clock.advance(4_999)
    await resolver.resolve('a.example')
    assert.equal(asked.length, 1)
    clock.advance(1)
    assert.deepEqual(await resolver.resolve('a.example'), ['10.0.0.1', '10.0.0.2'])
    await settle()
    assert.deepEqual(await resolver.resolve('a.example'), ['10.0.0.9'])
    assert.equal(asked.length, 2)
  })

  test('many who ask at once share one lookup, and lookups under way are bounded', async () => {
    const { resolver, asked, zone, hold, release } = fixture(1)
    zone.set('b.example', ['10.0.0.3'])
    hold()
    const answers = ['a.example', 'a.example', 'b.example'].map((name) => resolver.resolve(name))
    await settle()
    assert.deepEqual(asked, ['a.example'])
    release()
    assert.deepEqual((await Promise.all(answers)).at(-1), ['10.0.0.3'])
    assert.deepEqual(asked, ['a.example', 'b.example'])
  })

  test('a name without an address is not asked for again for a second', async () => {
    const { resolver, asked, clock } = fixture()
    await assert.rejects(resolver.resolve('no.example'), /ENOTFOUND/)
    await assert.rejects(resolver.resolve('no.example'), /a moment ago/)
    assert.equal(asked.length, 1)
    clock.advance(1_000)
    await assert.rejects(resolver.resolve('no.example'), /ENOTFOUND/)
  })

  test('names that requests made up are forgotten, oldest first', async () => {
    const { resolver, asked, zone } = fixture()
    for (const name of ['b', 'c', 'd']) zone.set(name, ['10.0.0.1'])
    for (const name of ['a.example', 'b', 'c', 'd', 'b', 'a.example']) await resolver.resolve(name)
    assert.deepEqual(asked, ['a.example', 'b', 'c', 'd', 'a.example'])
  })

  test('a watched name reports changes, not repetitions, and keeps its last answer through failures', async () => {
    const { resolver, clock, zone } = fixture()
    const seen: (readonly string[])[] = []
    const stop = resolver.watch('a.example', (addresses) => seen.push(addresses))
    await settle()
    zone.set('a.example', ['10.0.0.1', '10.0.0.2'])
    clock.advance(5_000)
    await settle()
    assert.deepEqual(seen, [['10.0.0.1', '10.0.0.2']])
    zone.delete('a.example')
    clock.advance(5_000)
    await settle()
    assert.equal(seen.length, 1)
    zone.set('a.example', ['10.0.0.7'])
    clock.advance(5_000)
    await settle()
    assert.deepEqual(seen[1], ['10.0.0.7'])
    stop()
    zone.set('a.example', ['10.0.0.8'])
    clock.advance(50_000)
    await settle()
    assert.equal(seen.length, 2)
    assert.equal(clock.pending, 0)
  })
})

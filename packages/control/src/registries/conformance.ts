/** What every registry promises, once for all of them. Called from the members' tests. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Registry, RegistryState } from './registry.ts'

export interface RegistryFixture {
  readonly registry: Registry
  /** Makes exactly these workloads serve port 9080 of service `reviews` in `default`, by their addresses. */
  serve(addresses: readonly string[]): void
}

const HOST = 'reviews.default.svc.cluster.local'

export function testRegistry(name: string, open: () => RegistryFixture): void {
  const named = (promise: string) => `${name}: ${promise}`

  test(named('yields the service and who answers for it, and again after a change'), async () => {
    const { registry, serve } = open()
    serve(['10.0.0.1', '10.0.0.2'])
    const state = await newest(registry)
    assert.deepEqual(
      state.services.get(HOST)?.ports.map(({ port }) => port),
      [9080],
    )
    assert.deepEqual(addressesIn(state), ['10.0.0.1', '10.0.0.2'])
    serve(['10.0.0.2'])
    assert.deepEqual(addressesIn(await newest(registry)), ['10.0.0.2'])
    await registry[Symbol.asyncDispose]()
  })

  test(named('a slow reader gets the newest state, not every state'), async () => {
    const { registry, serve } = open()
    serve(['10.0.0.1'])
    let yields = 0
    for await (const state of registry.watch(AbortSignal.timeout(1_000))) {
      yields++
      if (addressesIn(state).includes('10.0.0.9')) break
      for (let i = 2; i <= 9; i++) serve([`10.0.0.${i}`])
    }
    assert.equal(yields, 2)
    await registry[Symbol.asyncDispose]()
  })

  test(named('what did not change is the same object again'), async () => {
    const { registry, serve } = open()
    serve(['10.0.0.1'])
    const before = await newest(registry)
    serve(['10.0.0.1'])
    assert.equal((await newest(registry)).services.get(HOST), before.services.get(HOST))
    assert.equal((await newest(registry)).instances.get(HOST), before.instances.get(HOST))
    await registry[Symbol.asyncDispose]()
  })

  test(named('ends when its reader does not want more, and when it is closed'), async () => {
    const { registry, serve } = open()
    serve(['10.0.0.1'])
    const stop = new AbortController()
    const first = registry.watch(stop.signal)[Symbol.asyncIterator]()
    const second = registry.watch(new AbortController().signal)[Symbol.asyncIterator]()
    await Promise.all([first.next(), second.next()])
    const ends = [first.next(), second.next()]
    stop.abort()
    await registry[Symbol.asyncDispose]()
    assert.deepEqual(
      (await Promise.all(ends)).map(({ done }) => done),
      [true, true],
    )
  })
}

async function newest(registry: Registry): Promise<RegistryState> {
  for await (const state of registry.watch(AbortSignal.timeout(1_000))) return state
  throw new Error('the registry yielded nothing')
}

function addressesIn(state: RegistryState): readonly string[] {
  return (state.instances.get(HOST) ?? []).map(({ address }) => address).sort()
}

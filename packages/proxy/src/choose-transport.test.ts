import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseTransport } from './choose-transport.ts'

test('what was asked for by name is used; nothing asked for means the self-test chooses', async () => {
  const net = await chooseTransport('net')
  assert.equal(net.transport.name, 'node')
  assert.match(net.fallbackReason ?? '', /asked for/)
  for (const choice of ['handle', undefined] as const) {
    const picked = await chooseTransport(choice)
    assert.deepEqual([picked.transport.name, picked.fallbackReason], ['handle', undefined])
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseArguments } from '../arguments.ts'
import { run } from '../commands/run.ts'
import { offersOf } from './sidecar-options.ts'

function offered(...words: string[]) {
  const args = parseArguments(run, [...words, '--', 'app'])
  const [offer] = offersOf(args, 3_000, args.value('inbound'))
  return offer && { address: offer.address, listenPort: offer.listenPort, appPort: offer.appPort }
}

const reviews = ['--service', 'reviews', '--port', '9080']

test('the sidecar listens on a free port of the address that peers know, unless told otherwise', () => {
  const free = { address: '127.0.0.1', listenPort: 0, appPort: 3_000 }
  assert.deepEqual(offered(...reviews), free)
  assert.deepEqual(offered(...reviews, '--inbound', '8443'), { ...free, listenPort: 8_443 })
  const own = { ...free, address: '10.0.0.7' }
  assert.deepEqual(offered(...reviews, '--address', '10.0.0.7'), own)
  const fixed = { ...own, listenPort: 8_443 }
  assert.deepEqual(offered(...reviews, '--inbound', '10.0.0.7:8443'), fixed)
  assert.deepEqual(offered(...reviews, '--address', '10.0.0.7', '--inbound', '8443'), fixed)
})

test('what contradicts itself is refused', () => {
  assert.throws(() => offered('--inbound', '8443'), /--inbound needs a service/)
  assert.throws(
    () => offered(...reviews, '--address', '10.0.0.7', '--inbound', '10.0.0.8:8443'),
    /name different hosts: 10\.0\.0\.8:8443, 10\.0\.0\.7/,
  )
  assert.throws(() => offered(...reviews, '--inbound', 'x'), /--inbound must look like/)
})

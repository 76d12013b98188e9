/** F28: the name server dies, is slow, denies what it said, and says less. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { eventually, temporaryFolder } from '../e2e/weft.ts'
import { renderTally, startClient } from './checking-client.ts'
import { type NameAnswer, openNameServer } from './name-server.ts'
import { adminText, CLUSTER, cluster, openStage, report, type Stage } from './stage.ts'

const SERVER = '127.0.0.99'
const NAME = 'app.test'
/** Longer than two refreshes. */
const LIMIT_MS = 60_000

const FAULTS: readonly (readonly [string, NameAnswer])[] = [
  ['silent', { kind: 'silent' }],
  ['SERVFAIL', { kind: 'error', code: 2 }],
  ['NXDOMAIN', { kind: 'error', code: 3 }],
  ['no address', { kind: 'addresses', addresses: [] }],
  ['slow', { kind: 'addresses', addresses: ['127.0.0.1'], delayMs: 2_000 }],
]

test('F28 the last good addresses stay, whatever becomes of the name server', async (t) => {
  await using server = await openNameServer(SERVER)
  const mayMount = spawnSync('unshare', ['-m', 'true']).status === 0
  if (server === undefined || !mayMount) return t.skip('no right to a name server of its own here')
  await using folder = await temporaryFolder()
  const settings = join(folder.path, 'resolv.conf')
  writeFileSync(settings, `nameserver ${SERVER}\noptions timeout:1 attempts:1\n`)
  server.answer = { kind: 'addresses', addresses: ['127.0.0.1'] }
  await using stage = await openStage({
    before: [
      'if [ -z "$WEFT_OWN_NAMES" ]; then WEFT_OWN_NAMES=1 exec unshare -m "$0" "$@"; fi',
      `mount --bind '${settings}' /etc/resolv.conf`,
    ],
  })
  stage.writeResources('clusters.json', CLUSTER, [named(stage)])
  await eventually(
    () => addressesOf(stage),
    (all) => all.length === 1 && server.asked > 0,
    LIMIT_MS,
  )
  await using client = startClient(stage.port, { connections: 8 })
  await client.answers(300)
  const told: string[] = []
  for (const [name, answer] of FAULTS) {
    server.answer = answer
    const { asked } = server
    // Twice: what one failure keeps, the next might forget.
    await eventually(
      () => server.asked,
      (now) => now >= asked + 2,
      LIMIT_MS,
    )
    await client.answers(200)
    assert.equal((await addressesOf(stage)).length, 1, name)
    told.push(name)
  }
  server.answer = { kind: 'addresses', addresses: ['127.0.0.1', '127.0.0.2'] }
  await eventually(
    () => addressesOf(stage),
    (all) => all.length === 2,
    LIMIT_MS,
  )
  server.answer = { kind: 'addresses', addresses: ['127.0.0.1'] }
  await eventually(
    () => addressesOf(stage),
    (all) => all.length === 1,
    LIMIT_MS,
  )
  await client.answers(300)
  const tally = await client.stop()
  report(
    'F28',
    `a name server that is ${told.join(', ')}; one more address and one less: ${renderTally(tally)}`,
  )
  assert.deepEqual([tally.lost, tally.refused, tally.wrong], [0, 0, 0])
})

function named({ apps: [first] }: Stage): object {
  const endpoint = { socket_address: { address: NAME, port_value: first?.port ?? 0 } }
  return cluster([], {
    type: 'STRICT_DNS',
    load_assignment: {
      cluster_name: 'app',
      endpoints: [{ lb_endpoints: [{ endpoint: { address: endpoint } }] }],
    },
  })
}

/** Of the cluster's endpoints. */
async function addressesOf({ admin, apps: [first] }: Stage): Promise<readonly string[]> {
  const text = await adminText(admin, '/clusters')
  const found = text.matchAll(/^app::(127\.[\d.]+):(\d+)::/gm)
  const own = [...found].filter(([, , port]) => Number(port) === first?.port)
  return [...new Set(own.map(([, address = '']) => address))]
}

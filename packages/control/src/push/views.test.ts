import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '@weft/base'
import { parseDocuments } from '@weft/config'
import { FakeClock } from '@weft/testkit'
import type { XdsNode } from '@weft/xds'
import { buildSnapshot } from '../snapshot/build.ts'
import { translate } from '../translate/translate.ts'
import { Push } from './push.ts'
import { Views } from './views.ts'

function nodeOf(workload: string): XdsNode {
  return {
    id: `sidecar~127.0.0.1~${workload}.default~default.svc.cluster.local`,
    cluster: `${workload}.default`,
    locality: { region: '', zone: '', subZone: '' },
    metadata: { WEFT_KIND: 'weft', NAMESPACE: 'default', LABELS: { app: workload } },
    userAgentName: 'weft',
    features: [],
  }
}

function snapshotOf(name: string) {
  const text = `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {ports: [{port: 80}]}\n`
  return buildSnapshot({ documents: parseDocuments(text, { file: 'in.yaml' }).documents })
}

function open() {
  const broken = { app: 'a' }
  const published: (readonly [view: string, generation: string])[] = []
  const errors: string[] = []
  const log = { ...silentLogger, error: (message: string) => void errors.push(message) }
  const views = new Views(
    {
      publish: (view, _set, generation) => void published.push([view, generation]),
      drop: () => {},
    },
    {
      log,
      translate(snapshot, proxy, cache) {
        if (proxy.labels.app === broken.app) throw new Error('no such thing')
        return translate(snapshot, proxy, cache)
      },
    },
  )
  return { broken, published, errors, log, views }
}

test('a view that cannot be translated keeps what it has, the views behind it get theirs', async () => {
  const { broken, published, errors, log, views } = open()
  views.connect(nodeOf('a'), 1, undefined)
  views.connect(nodeOf('b'), 2, undefined)
  const snapshots = [snapshotOf('one'), snapshotOf('two')]
  const build = () => snapshots[0] ?? snapshotOf('none')
  const push = new Push({ clock: new FakeClock(), log, views, build })
  await push.now()
  const first = snapshots[0]?.generation
  assert.deepEqual(
    published.map(([, generation]) => generation),
    [first],
  )
  assert.equal(views.resourcesOf(1), undefined)
  assert.equal(views.problemOf(1), 'no such thing')
  assert.ok(views.resourcesOf(2))
  assert.equal(views.problemOf(2), undefined)
  assert.equal(errors.length, 1)

  broken.app = 'b'
  const before = views.resourcesOf(2)
  snapshots.shift()
  await push.now()
  assert.equal(published.length, 2)
  assert.equal(views.problemOf(1), undefined)
  assert.ok(views.resourcesOf(1))
  assert.equal(views.problemOf(2), 'no such thing')
  assert.equal(views.resourcesOf(2), before)
})

test('a connection whose view cannot be translated does not fail', () => {
  const { published, errors, views } = open()
  views.connect(nodeOf('a'), 1, snapshotOf('one'))
  assert.equal(views.problemOf(1), 'no such thing')
  assert.equal(errors.length, 1)
  assert.deepEqual(published, [])
  assert.equal(views.proxyOf(1)?.labels.app, 'a')
})

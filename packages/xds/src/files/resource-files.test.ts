import assert from 'node:assert/strict'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { create, toBinary } from '@bufbuild/protobuf'
import { realClock, silentLogger } from '@weft/base'
import fc from 'fast-check'
import type { ResourceUpdate } from '../client/ads-client.ts'
import { codec } from '../codec/codec.ts'
import { DiscoveryResponseSchema } from '../gen/envoy/service/discovery/v3/discovery_pb.js'
import { watchResourceFiles } from '../index.ts'
import { Mailbox, testCluster, testEndpoints } from '../testing.ts'
import { TYPE_URLS } from '../type-urls.ts'
import { parseResourceFile } from './parse-resource-file.ts'

const root = mkdtempSync(join(tmpdir(), 'weft-files-'))
after(() => rmSync(root, { recursive: true, force: true }))

const clusterJson = (connectTimeoutMs: number) =>
  JSON.stringify({ resources: [codec.renderJson('cluster', testCluster('a', connectTimeoutMs))] })

const YAML = `
version_info: "1"
resources:
- "@type": ${TYPE_URLS.endpoints}
  cluster_name: a
  endpoints:
  - locality: {region: r, zone: z}
    load_balancing_weight: 1
    lb_endpoints:
    - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 80}}}
`

let folders = 0
async function start(files: { readonly [name: string]: string | Uint8Array }) {
  const dir = mkdtempSync(join(root, `${++folders}-`))
  for (const [name, content] of Object.entries(files)) writeFileSync(join(dir, name), content)
  const updates = new Mailbox<ResourceUpdate>()
  const source = await watchResourceFiles(dir, {
    clock: realClock,
    log: silentLogger,
    onUpdate: (update) => updates.put(update),
  })
  return { dir, updates, source }
}

describe('resource files', () => {
  test('may be JSON, YAML and protobuf', async () => {
    const any = {
      typeUrl: TYPE_URLS.cluster,
      value: codec.encode('cluster', testCluster('b')),
    }
    const response = create(DiscoveryResponseSchema, { resources: [any] })
    const { updates, source } = await start({
      'cds.json': clusterJson(1_000),
      'eds.yaml': YAML,
      'more.pb': toBinary(DiscoveryResponseSchema, response),
      'notes.txt': 'not for us',
    })
    const { set, source: from } = await updates.next()
    assert.equal(from, 'file')
    assert.deepEqual([...set.cluster.values()], [testCluster('a'), testCluster('b')])
    assert.deepEqual(set.endpoints.get('a'), testEndpoints('a', 80))
    source.close()
  })

  test('are read again when a file is replaced by a rename', async () => {
    const { dir, updates, source } = await start({ 'cds.json': clusterJson(1_000) })
    await updates.next()
    writeFileSync(join(dir, '.new'), clusterJson(2_000))
    renameSync(join(dir, '.new'), join(dir, 'cds.json'))
    const { set } = await updates.next()
    assert.equal(set.cluster.get('a')?.connectTimeoutMs, 2_000)
    source.close()
  })

  test('that are broken or refused leave what was there; deleted ones take it along', async () => {
    const { dir, updates, source } = await start({ 'cds.json': clusterJson(1_000) })
    await updates.next()
    writeFileSync(join(dir, 'cds.json'), clusterJson(2_000).slice(0, 50))
    writeFileSync(join(dir, 'eds.yaml'), YAML)
    await source.reload()
    const half = await updates.next()
    assert.equal(half.set.cluster.get('a')?.connectTimeoutMs, 1_000)
    assert.equal(half.set.endpoints.size, 1)

    const refused = clusterJson(3_000)
      .replace('"lb_policy"', '"nothing"')
      .replace('"resources":[{', '"resources":[{"health_checks":[{}],')
    writeFileSync(join(dir, 'cds.json'), refused)
    await source.reload()
    assert.match(
      source.rejections()[0]?.problem ?? '',
      /health_checks\[0\]: a check without a kind is not supported/,
    )

    rmSync(join(dir, 'cds.json'))
    await source.reload()
    assert.equal((await updates.next()).set.cluster.size, 0)
    source.close()
  })

  test('that hold noise are refused, never more than that', async () => {
    const name = fc.constantFrom('a.json', 'a.yaml', 'a.pb')
    await fc.assert(
      fc.asyncProperty(name, fc.uint8Array({ maxLength: 60 }), async (file, bytes) => {
        await parseResourceFile(file, bytes).catch((error: unknown) =>
          assert.ok(error instanceof Error),
        )
      }),
      { seed: 1, numRuns: 300 },
    )
  })
})

import assert from 'node:assert/strict'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { realClock, sleep } from '@weft/base'
import type { Resources, ResourceType } from '@weft/model'
import { loadCodec, TYPE_URLS } from '@weft/xds'
import { adminGet, get, openApp, openProxy, REVIEWS, until } from './test-proxy.ts'
import { cluster, endpoints, listener, table } from './test-resources.ts'

test('a gateway runs on files, follows their changes and maps its ports', async () => {
  const codec = await loadCodec()
  const folder = await mkdtemp(join(tmpdir(), 'weft-files-'))
  /** As an editor does it: aside, then renamed over. */
  const put = async <T extends ResourceType>(type: T, resources: readonly Resources[T][]) => {
    const response = {
      version_info: '1',
      type_url: TYPE_URLS[type],
      resources: resources.map((resource) => codec.renderJson(type, resource)),
    }
    const path = join(folder, `${type}.json`)
    await writeFile(`${path}.tmp`, JSON.stringify(response))
    await rename(`${path}.tmp`, path)
  }
  const [old, newer] = [await openApp(() => 'old'), await openApp(() => 'new')]
  // A port that was free a moment ago, in place of 80, which needs a privilege.
  const spare = await openApp(() => '')
  spare.server.close()
  const base = listener('0.0.0.0_80', 'outbound', 80)
  await put('listener', [{ ...base, address: { host: '0.0.0.0', port: 80 } }])
  await put('route', [table([REVIEWS])])
  await put('cluster', [cluster(REVIEWS)])
  await put('endpoints', [endpoints(REVIEWS, [`127.0.0.1:${old.port}`], true)])
  const { proxy } = await openProxy('gateway', {
    role: 'gateway',
    source: { kind: 'files', path: folder },
    bindHost: '127.0.0.1',
    portMap: { '80': spare.port },
  })
  try {
    await proxy.ready
    assert.deepEqual(
      [...proxy.listeners()],
      [['0.0.0.0_80', { host: '127.0.0.1', port: spare.port }]],
    )
    assert.equal((await get(spare.port, '/', { host: 'any' })).body, 'old')
    await put('endpoints', [endpoints(REVIEWS, [`127.0.0.1:${newer.port}`], true)])
    let body = ''
    for (let i = 0; i < 500 && body !== 'new'; i++) {
      await sleep(realClock, 10)
      body = (await get(spare.port, '/', { host: 'any' })).body
    }
    assert.equal(body, 'new')
    // A half-written file changes nothing.
    await writeFile(join(folder, 'cluster.json'), '{"resources": [')
    assert.equal((await get(spare.port, '/', { host: 'any' })).body, 'new')
    const info = await adminGet(proxy, '/config_dump')
    assert.ok(info.body.includes('path_config_source'))
  } finally {
    await proxy.close()
    for (const { server } of [old, newer]) server.close()
    await rm(folder, { recursive: true })
  }
  await until(() => proxy.listeners().size === 0)
})

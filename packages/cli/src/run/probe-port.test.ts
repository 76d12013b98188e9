import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { describe, type TestContext, test } from 'node:test'
import type { OfferedPort, SocketAddress } from '@weft/model'
import type { Arguments } from '../arguments.ts'
import { UsageError } from '../command.ts'
import { openProbePort, probePortOf } from './probe-port.ts'

const ANY = { host: '127.0.0.1', port: 0 }

async function application(t: TestContext): Promise<SocketAddress & { readonly seen: string[] }> {
  const seen: string[] = []
  const server = createServer(({ method, url, headers }, response) => {
    seen.push(`${method} ${url} ${headers.host} ${headers.authorization ?? '-'}`)
    response.setHeader('x-secret', 'inside').writeHead(url === '/ready' ? 418 : 200)
    response.end('what only the mesh may read')
  }).listen(ANY)
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return { ...ANY, port: typeof address === 'object' ? (address?.port ?? 0) : 0, seen }
}

async function portOf(t: TestContext, app: SocketAddress, paths: readonly string[]) {
  const opened = await openProbePort({ address: ANY, paths, app })
  t.after(() => opened[Symbol.asyncDispose]())
  return opened.port
}

describe('the port for probes', () => {
  test('passes on the paths that were named, and of the answer the status alone', async (t) => {
    const app = await application(t)
    const port = await portOf(t, app, ['/healthz', '/ready'])
    const ask = (path: string, init?: RequestInit) =>
      fetch(`http://127.0.0.1:${port}${path}`, {
        ...init,
        headers: { authorization: 'Bearer of-somebody' },
      })
    const answer = await ask('/healthz')
    assert.deepEqual([answer.status, await answer.text()], [200, ''])
    assert.equal(answer.headers.get('x-secret'), null)
    assert.equal((await ask('/ready')).status, 418)
    for (const path of ['/', '/healthz/', '/healthz?x=1', '//healthz', '/a/../healthz%2e', '/x']) {
      assert.equal((await ask(path)).status, 404, path)
    }
    assert.equal((await ask('/healthz', { method: 'POST', body: 'x' })).status, 405)
    assert.equal((await ask('/healthz', { method: 'HEAD' })).status, 200)
    const host = `127.0.0.1:${port}`
    assert.deepEqual(app.seen, [
      `GET /healthz ${host} -`,
      `GET /ready ${host} -`,
      `HEAD /healthz ${host} -`,
    ])
  })

  test('without a path says whether the application takes connections', async (t) => {
    const app = await application(t)
    const port = await portOf(t, app, [])
    assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 200)
    const nobody = await portOf(t, { host: '127.0.0.1', port: 1 }, [])
    assert.equal((await fetch(`http://127.0.0.1:${nobody}/`)).status, 503)
    assert.deepEqual(app.seen, [])
  })

  test('is that of the successor as soon as the process before has left', async (t) => {
    const app = await application(t)
    const before = await openProbePort({ address: ANY, paths: [], app })
    const address = { ...ANY, port: before.port }
    await assert.rejects(openProbePort({ address, paths: [], app }), /Cannot open --probe/)
    const after = await openProbePort({ address, paths: [], app }, true)
    t.after(() => after[Symbol.asyncDispose]())
    await before[Symbol.asyncDispose]()
    for (;;) {
      const status = await fetch(`http://127.0.0.1:${before.port}/`).then(
        (response) => response.status,
        () => undefined,
      )
      if (status === 200) break
    }
  })

  test('needs an application, and paths that are some', () => {
    const given = (values: Record<string, string>, paths: readonly string[] = []) =>
      ({ value: (name: string) => values[name], list: () => paths }) as unknown as Arguments
    const offer: OfferedPort = {
      service: 'app',
      port: 80,
      protocol: 'http',
      address: '10.0.0.1',
      listenPort: 80,
      appAddress: '127.0.0.1',
      appPort: 8080,
    }
    assert.equal(probePortOf(given({}), offer), undefined)
    assert.deepEqual(probePortOf(given({ probe: '0.0.0.0:15020' }, ['/up']), offer), {
      address: { host: '0.0.0.0', port: 15_020 },
      paths: ['/up'],
      app: { host: '127.0.0.1', port: 8080 },
    })
    assert.throws(() => probePortOf(given({}, ['/up']), offer), UsageError)
    assert.throws(() => probePortOf(given({ probe: '15020' }), undefined), /--service NAME/)
    assert.throws(() => probePortOf(given({ probe: '15020' }, ['up']), offer), /begin with \//)
  })
})

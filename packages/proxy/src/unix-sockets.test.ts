/** A proxy whose client and whose application are at Unix sockets. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { adminGet, openProxy, REVIEWS, until } from './test-proxy.ts'
import { cluster, listener, setOf, table } from './test-resources.ts'

function get(socketPath: string): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path: '/x', agent: false }, (response) => {
      let body = ''
      response.on('data', (piece) => {
        body += String(piece)
      })
      response.on('end', () => resolve({ status: response.statusCode, body }))
    })
      .on('error', reject)
      .end()
  })
}

test('requests come in at a Unix socket and go out to another', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-'))
  const [front, back] = [join(folder, 'front.sock'), join(folder, 'back.sock')]
  let seen: IncomingHttpHeaders = {}
  const app = createServer((incoming, response) => {
    seen = incoming.headers
    response.end(`app ${incoming.url}`)
  })
  await new Promise<void>((resolve) => app.listen(back, resolve))
  const { proxy, publish } = await openProxy('web')
  try {
    const endpoint = { address: { host: back, port: 0 }, weight: 1, health: 'healthy' } as const
    const locality = { region: '', zone: '', subZone: '' }
    const localities = [{ locality, priority: 0, weight: 1, endpoints: [endpoint] }]
    const endpoints = { name: REVIEWS, localities }
    publish(
      setOf({
        listener: [{ ...listener('sock', 'outbound', 0), address: { host: front, port: 0 } }],
        route: [table([REVIEWS])],
        cluster: [cluster(REVIEWS, { kind: 'static', endpoints })],
        endpoints: [],
      }),
    )
    await proxy.ready
    assert.deepEqual(await get(front), { status: 200, body: 'app /x' })
    assert.equal(seen['x-forwarded-for'], undefined)
    assert.match((await adminGet(proxy, '/clusters')).body, /::\/[^:]*back\.sock::/)
    app.close()
    app.closeAllConnections()
    await until(() => !app.listening)
    assert.equal((await get(front)).status, 503)
  } finally {
    await proxy.close()
    app.close()
    rmSync(folder, { recursive: true })
  }
})

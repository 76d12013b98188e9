/**
 * Programs that others wrote speak HTTP/2 through a real sidecar: nghttp, h2load and curl
 * in front of it, grpc-js on both sides of it. Configuration comes from xDS files.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import * as grpc from '@grpc/grpc-js'
import { eventually, freePort } from '@weft/testkit'

const run = promisify(execFile)
const BIN = fileURLToPath(new URL('../../packages/cli/bin/weft.js', import.meta.url))
const EXTENSIONS = 'type.googleapis.com/envoy.extensions'
const CONFIG = 'type.googleapis.com/envoy.config'
const DEADLINE_MS = 15_000

function missing(program: string): string | false {
  const there = (process.env.PATH ?? '').split(':').some((dir) => existsSync(join(dir, program)))
  return there ? false : `${program} is not installed`
}

const socket = (port: number) => ({
  socket_address: { address: '127.0.0.1', port_value: port },
})

function cluster(name: string, port: number, http2: boolean) {
  const protocol = {
    '@type': `${EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions`,
    explicit_http_config: { http2_protocol_options: {} },
  }
  const options = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'
  return {
    '@type': `${CONFIG}.cluster.v3.Cluster`,
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    ...(http2 ? { typed_extension_protocol_options: { [options]: protocol } } : {}),
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socket(port) } }] }],
    },
  }
}

function listener(port: number) {
  const manager = {
    '@type': `${EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'h2',
    codec_type: 'AUTO',
    http_filters: [
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': `${EXTENSIONS}.filters.http.router.v3.Router` },
      },
    ],
    route_config: {
      name: 'h2',
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [
            { match: { prefix: '/test.' }, route: { cluster: 'grpc', timeout: '0s' } },
            { match: { prefix: '/' }, route: { cluster: 'http1' } },
          ],
        },
      ],
    },
  }
  const filter = { name: 'envoy.filters.network.http_connection_manager', typed_config: manager }
  return {
    '@type': `${CONFIG}.listener.v3.Listener`,
    name: 'h2',
    address: socket(port),
    traffic_direction: 'OUTBOUND',
    filter_chains: [{ name: 'h2', filters: [filter] }],
  }
}

const bytes = {
  requestSerialize: (value: Buffer) => value,
  requestDeserialize: (value: Buffer) => value,
  responseSerialize: (value: Buffer) => value,
  responseDeserialize: (value: Buffer) => value,
}
const service = {
  unary: { path: '/test.Echo/Unary', requestStream: false, responseStream: false, ...bytes },
  chat: { path: '/test.Echo/Chat', requestStream: true, responseStream: true, ...bytes },
  wait: { path: '/test.Echo/Wait', requestStream: false, responseStream: false, ...bytes },
} as const

describe('HTTP/2 through a sidecar', () => {
  const dir = mkdtempSync(join(tmpdir(), 'weft-http2-'))
  const cancelled: string[] = []
  let http: Server
  let rpc: grpc.Server
  let proxy: ChildProcess
  let port = 0
  let output = ''

  before(async () => {
    http = createServer((request, response) => {
      let length = 0
      request.on('data', (piece: Buffer) => {
        length += piece.length
      })
      request.on('end', () => {
        response.setHeader('x-cookie', request.headers.cookie ?? '')
        response.end(request.url === '/large' ? 'x'.repeat(1_000_000) : `${length}`)
      })
    })
    await once(http.listen(0, '127.0.0.1'), 'listening')
    rpc = new grpc.Server()
    rpc.addService(service, {
      unary(call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) {
        const trailer = new grpc.Metadata()
        trailer.set('x-trailer', 'here')
        if (call.request.toString() === 'fail') {
          done({ code: grpc.status.NOT_FOUND, details: 'no such thing', metadata: trailer })
        } else done(null, call.request, trailer)
      },
      chat(call: grpc.ServerDuplexStream<Buffer, Buffer>) {
        call.on('data', (message: Buffer) => call.write(message))
        call.on('end', () => call.end())
      },
      wait(call: grpc.ServerUnaryCall<Buffer, Buffer>) {
        call.on('cancelled', () => cancelled.push(call.request.toString()))
      },
    })
    const rpcPort = await promisify(rpc.bindAsync.bind(rpc))(
      '127.0.0.1:0',
      grpc.ServerCredentials.createInsecure(),
    )
    port = await freePort()
    write('listeners', `${CONFIG}.listener.v3.Listener`, [listener(port)])
    write('clusters', `${CONFIG}.cluster.v3.Cluster`, [
      cluster('http1', (http.address() as AddressInfo).port, false),
      cluster('grpc', rpcPort as number, true),
    ])
    proxy = spawn(process.execPath, [
      ...['--conditions=source', '--disable-warning=ExperimentalWarning', BIN, 'proxy'],
      ...['--role', 'sidecar', '--name', 'h2', '--resources', dir],
      ...['--outbound', '127.0.0.1:0', '--admin', '127.0.0.1:0'],
    ])
    for (const stream of [proxy.stdout, proxy.stderr]) {
      stream?.on('data', (piece: Buffer) => {
        output += piece.toString()
      })
    }
    await eventually(async () => {
      assert.equal(proxy.exitCode, null, output)
      const answer = await fetch(`http://127.0.0.1:${port}/`).catch((error: unknown) =>
        assert.fail(`${error}: ${output}`),
      )
      assert.equal(await answer.text(), '0', output)
    }, DEADLINE_MS)
  })

  function write(name: string, type: string, resources: readonly object[]): void {
    const text = JSON.stringify({ version_info: '1', type_url: type, resources })
    writeFileSync(join(dir, `${name}.json`), text)
  }

  after(async () => {
    proxy.kill('SIGKILL')
    http.close()
    rpc.forceShutdown()
    rmSync(dir, { recursive: true, force: true })
  })

  test('curl with prior knowledge', { skip: missing('curl') }, async () => {
    const url = `http://127.0.0.1:${port}`
    const base = ['-sS', '--max-time', '10', '--http2-prior-knowledge']
    const version = ['-o', join(dir, 'body'), '-w', '%{http_version} %{http_code} %{size_download}']
    const large = await run('curl', [...base, ...version, `${url}/large`])
    assert.equal(large.stdout, '2 200 1000000')
    const upload = join(dir, 'upload')
    writeFileSync(upload, Buffer.alloc(500_000))
    const put = await run('curl', [...base, '-T', upload, `${url}/up`])
    assert.equal(put.stdout, '500000')
    const head = await run('curl', [...base, '-I', `${url}/`])
    assert.match(head.stdout, /^HTTP\/2 200/)
  })

  test('nghttp multiplexes on one connection', { skip: missing('nghttp') }, async () => {
    const url = `http://127.0.0.1:${port}/`
    const { stdout } = await run('nghttp', ['-n', '-v', '-m', '20', '-t', '10', url])
    assert.equal(stdout.match(/:status: 200/g)?.length, 20)
    assert.doesNotMatch(stdout, /RST_STREAM|(?<!NO_)ERROR/)
  })

  test('h2load completes every request', { skip: missing('h2load') }, async () => {
    const args = ['-n', '2000', '-c', '4', '-m', '10', '-T', '20', `http://127.0.0.1:${port}/`]
    const { stdout } = await run('h2load', args)
    assert.match(stdout, /2000 done, 2000 succeeded, 0 failed, 0 errored/)
  })

  describe('grpc-js on both sides', () => {
    let client: grpc.Client

    before(() => {
      client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure())
    })
    after(() => client.close())

    function unary(path: string, message: string, options: grpc.CallOptions = {}) {
      const trailers = Promise.withResolvers<grpc.StatusObject>()
      const reply = Promise.withResolvers<string>()
      const same = (value: Buffer) => value
      const call = client.makeUnaryRequest(
        path,
        same,
        same,
        Buffer.from(message),
        options,
        (error, value) => (error ? reply.reject(error) : reply.resolve(value?.toString() ?? '')),
      )
      call.on('status', trailers.resolve)
      return { call, reply: reply.promise, status: trailers.promise }
    }

    test('unary calls carry messages and trailers', async () => {
      const { reply, status } = unary('/test.Echo/Unary', 'hello')
      assert.equal(await reply, 'hello')
      assert.deepEqual((await status).metadata.get('x-trailer'), ['here'])
    })

    test('an error status arrives with its message', async () => {
      const { reply, status } = unary('/test.Echo/Unary', 'fail')
      await assert.rejects(reply, { code: grpc.status.NOT_FOUND, details: 'no such thing' })
      assert.deepEqual((await status).metadata.get('x-trailer'), ['here'])
    })

    test('large messages pass the windows', async () => {
      const large = 'z'.repeat(3_000_000)
      assert.equal((await unary('/test.Echo/Unary', large).reply).length, large.length)
    })

    test('a stream goes both ways, message for message', async () => {
      const same = (value: Buffer) => value
      const call = client.makeBidiStreamRequest('/test.Echo/Chat', same, same)
      for (let i = 0; i < 100; i++) {
        call.write(Buffer.from(`m${i}`))
        const [message] = (await once(call, 'data')) as [Buffer]
        assert.equal(message.toString(), `m${i}`)
      }
      call.end()
      const [status] = (await once(call, 'status')) as [grpc.StatusObject]
      assert.equal(status.code, grpc.status.OK)
    })

    test('a deadline ends the call on both sides', async () => {
      const { reply } = unary('/test.Echo/Wait', 'deadline', { deadline: Date.now() + 300 })
      await assert.rejects(reply, { code: grpc.status.DEADLINE_EXCEEDED })
      await eventually(() => assert.ok(cancelled.includes('deadline')), DEADLINE_MS)
    })

    test('a cancelled call is cancelled at the server', async () => {
      const { call, reply } = unary('/test.Echo/Wait', 'cancel')
      setImmediate(() => call.cancel())
      await assert.rejects(reply, { code: grpc.status.CANCELLED })
      assert.equal(await unary('/test.Echo/Unary', 'still').reply, 'still')
    })
  })
})

/** gRPC-Web through a real control plane and gateway to grpc-js: bytes as browsers' clients send them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as grpc from '@grpc/grpc-js'
import { eventually, freePort } from '@weft/testkit'
import { serviceYaml, startMesh } from './mesh.ts'

const RAW = {
  requestStream: false,
  requestSerialize: (bytes: Buffer) => bytes,
  requestDeserialize: (bytes: Buffer) => bytes,
  responseSerialize: (bytes: Buffer) => bytes,
  responseDeserialize: (bytes: Buffer) => bytes,
}

async function grpcServer(): Promise<{ port: number; server: grpc.Server }> {
  const server = new grpc.Server()
  server.addService(
    {
      Add: { path: '/shop.Cart/Add', responseStream: false, ...RAW },
      Watch: { path: '/shop.Cart/Watch', responseStream: true, ...RAW },
      Fail: { path: '/shop.Cart/Fail', responseStream: false, ...RAW },
    },
    {
      Add: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
        const trailers = new grpc.Metadata()
        trailers.set('x-cost', '7')
        done(null, Buffer.concat([Buffer.from('got '), call.request]), trailers)
      },
      Watch: (call: grpc.ServerWritableStream<Buffer, Buffer>) => {
        for (const size of [0, 1, 70_000]) call.write(Buffer.alloc(size, 'x'))
        call.end()
      },
      Fail: (_call: unknown, done: grpc.sendUnaryData<Buffer>) => {
        done({ code: grpc.status.FAILED_PRECONDITION, details: 'not now' })
      },
    },
  )
  const port = await new Promise<number>((resolve, reject) => {
    const credentials = grpc.ServerCredentials.createInsecure()
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => {
      if (error === null) resolve(bound)
      else reject(error)
    })
  })
  return { port, server }
}

function frame(text: string): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(text.length, 1)
  return Buffer.concat([head, Buffer.from(text, 'latin1')])
}

/** `data` messages by length or text, then the trailers. */
function framesOf(body: Buffer): string[] {
  const found: string[] = []
  for (let at = 0; at < body.length; ) {
    const length = body.readUInt32BE(at + 1)
    const payload = body.toString('latin1', at + 5, at + 5 + length)
    found.push(body[at] === 0x80 ? `trailers ${payload}` : length > 100 ? `${length}` : payload)
    at += 5 + length
  }
  return found
}

/** Each part of base64 has its own padding. */
function decoded(text: string): Buffer {
  const parts = text.match(/[^=]+={0,2}/g) ?? []
  return Buffer.concat(parts.map((part) => Buffer.from(part, 'base64')))
}

test('a gateway with grpcWeb serves browsers in both forms', async (t) => {
  const { port: to, server } = await grpcServer()
  t.after(() => server.forceShutdown())
  await using mesh = await startMesh()
  const port = await freePort()
  mesh.write('service.yaml', serviceYaml('cart', 'default', [{ name: 'grpc', port: 80, to: [to] }]))
  mesh.write(
    'gateway.yaml',
    `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec: {gatewayClassName: weft, listeners: [{name: http, port: ${port}, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart, namespace: default}
spec: {parentRefs: [{name: front}], rules: [{backendRefs: [{name: cart, port: 80}]}]}
---
apiVersion: weft.io/v1
kind: TrafficPolicy
metadata: {name: browsers, namespace: default}
spec: {targetRefs: [{kind: Gateway, name: front}], grpcWeb: true}
`,
  )
  await mesh.startGateway('front')
  const call = (method: string, contentType: string, body: Buffer | string) =>
    fetch(`http://127.0.0.1:${port}/shop.Cart/${method}`, {
      method: 'POST',
      headers: { 'content-type': contentType, 'x-grpc-web': '1' },
      body,
    })
  await eventually(async () => {
    const answer = await call('Add', 'application/grpc-web+proto', frame('one'))
    assert.deepEqual(framesOf(Buffer.from(await answer.arrayBuffer())), [
      'got one',
      'trailers grpc-status:0\r\ngrpc-message:OK\r\nx-cost:7\r\n',
    ])
  })
  const text = 'application/grpc-web-text+proto'
  const streamed = await call('Watch', text, frame('x').toString('base64'))
  assert.equal(streamed.headers.get('content-type'), text)
  const frames = framesOf(decoded(await streamed.text()))
  assert.deepEqual(frames.slice(0, 3), ['', 'x', '70000'])
  assert.match(frames[3] ?? '', /^trailers (.*\r\n)*grpc-status:0\r\n/)
  for (const contentType of ['application/grpc-web', text]) {
    const body = contentType === text ? frame('x').toString('base64') : frame('x')
    const failed = await call('Fail', contentType, body)
    assert.equal(failed.headers.get('grpc-status'), '9')
    assert.equal(failed.headers.get('grpc-message'), 'not%20now')
  }
})

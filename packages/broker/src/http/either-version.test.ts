import assert from 'node:assert/strict'
import { request } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import { after, before, test } from 'node:test'
import { createEitherServer, type EitherServer } from './either-version.ts'

let server: EitherServer
let port = 0

before(async () => {
  server = createEitherServer((asked, answer) => {
    answer.setHeader('x-seen', `${asked.httpVersion} ${asked.url}`)
    answer.end()
  })
  await server.listen({ host: '127.0.0.1', port: 0 })
  port = (server.address as AddressInfo).port
})

after(() => server.close())

test('who begins with HTTP/1.1 is answered in it', async () => {
  const answer = await new Promise<string>((resolve, reject) => {
    request({ host: '127.0.0.1', port, path: '/one', agent: false }, (response) => {
      response.resume()
      resolve(String(response.headers['x-seen']))
    })
      .on('error', reject)
      .end()
  })
  assert.equal(answer, '1.1 /one')
})

test('who begins with the preface of HTTP/2 is answered in that', async () => {
  const session = connectHttp2(`http://127.0.0.1:${port}`)
  try {
    const stream = session.request({ ':path': '/two' })
    const answer = await new Promise<string>((resolve, reject) => {
      stream.on('response', (headers) => resolve(String(headers['x-seen'])))
      stream.on('error', reject)
    })
    assert.equal(answer, '2.0 /two')
  } finally {
    session.destroy()
  }
})

/** The first bytes that come back for these, each written on its own. */
function raw(pieces: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    socket.setNoDelay(true)
    socket.once('data', (bytes: Buffer) => {
      resolve(bytes.toString('latin1'))
      socket.destroy()
    })
    socket.once('error', reject)
    socket.once('close', () => resolve(''))
    const next = (index: number) => {
      const piece = pieces[index]
      if (piece === undefined || socket.destroyed) return
      socket.write(piece, 'latin1', () => setImmediate(next, index + 1))
    }
    socket.once('connect', () => next(0))
  })
}

test('the first bytes may come one by one', async () => {
  assert.match(await raw([...'POST /slow HTTP/1.1\r\nhost: a\r\n\r\n']), /^HTTP\/1\.1 200 /)
  // A server of HTTP/2 begins with SETTINGS.
  const http2 = await raw([...'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'])
  assert.equal(http2.charCodeAt(3), 4)
})

test('what is neither is refused', async () => {
  assert.match(await raw(['nonsense\r\n\r\n']), /^HTTP\/1\.1 400 /)
})

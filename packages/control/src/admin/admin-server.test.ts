import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import type { ClientHttp2Session } from 'node:http2'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { createTestCa } from '@weft/testkit'
import { askFor, csrOf, newKey, openSession } from '../ca/test-ca-client.ts'
import { startControlPlane } from '../control-plane.ts'
import { adminEndpoints } from './catalog.ts'
import { type AdminStage, openAdminStage } from './test-admin.ts'

const ANY = { host: '127.0.0.1', port: 0 }
/** Documented in docs/security.md: who asks whether the process lives is nobody. */
const OPEN = new Set(['/ready', '/healthz'])
const UNAUTHENTICATED = 16

let stage: AdminStage

before(async () => {
  stage = await openAdminStage()
})
after(() => stage[Symbol.asyncDispose]())

const postBody = (method: string) => (method === 'POST' ? { body: '{}' } : {})

describe('R70: who may be reached from where', () => {
  test('the admin API is not opened in plaintext where others reach it', async () => {
    const options = { sources: [join(stage.folder, 'mesh')], xds: ANY }
    await assert.rejects(
      startControlPlane({ ...options, admin: { host: '0.0.0.0', port: 0 } }),
      /Cannot serve the admin API without TLS on 0\.0\.0\.0.*--admin-tls.*--insecure-admin/,
    )
  })

  test('where it is opened so on purpose, it still takes a token', async () => {
    const plane = await startControlPlane({
      sources: [join(stage.folder, 'mesh')],
      xds: ANY,
      admin: { host: '0.0.0.0', port: 0 },
      insecureAdmin: true,
    })
    try {
      const url = `http://127.0.0.1:${plane.admin.port}/v1/status`
      assert.equal((await fetch(url)).status, 401)
    } finally {
      await plane.close()
    }
  })

  test('the unix socket is its owner’s alone and needs nothing more', async () => {
    assert.equal(statSync(stage.socketPath).mode & 0o777, 0o600)
    assert.equal(statSync(join(stage.socketPath, '..')).mode & 0o777, 0o700)
    const { status, body } = await stage.call({ path: '/v1/whoami', isSocket: true })
    assert.equal(status, 200)
    assert.equal(JSON.parse(body).user, 'system:owner')
  })

  test('nothing changes by GET: what changes something is POST and takes proof', () => {
    const reads = /^(\/ready|\/healthz|\/metrics|\/debug\/|\/console|\/v1\/[a-z-]+(\/bundle)?$)/
    for (const { method, path } of adminEndpoints) {
      if (method === 'GET') assert.match(path, reads, path)
    }
  })

  test('the owner’s token is in a file of 0600 while the control plane lives', async () => {
    const { host, port } = stage.plane.admin
    const file = join(stage.folder, 'bootstrap', `${host}-${port}.admin-token`)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.equal(readFileSync(file, 'utf8').trim(), stage.plane.ownerToken)
  })
})

describe('R71: what a page in a browser of this machine can do', () => {
  const cases: readonly (readonly [Readonly<Record<string, string>>, string, number])[] = [
    [{ host: 'localhost' }, 'GET', 200],
    [{ host: '127.0.0.1:15014' }, 'GET', 200],
    [{ host: '[::1]:15014' }, 'GET', 200],
    [{ host: 'evil.test' }, 'GET', 421],
    [{ host: 'evil.test:15014' }, 'GET', 421],
    [{ host: 'localhost.evil.test' }, 'GET', 421],
    [{ host: '127.0.0.1.evil.test' }, 'GET', 421],
    [{ host: '[::1].evil.test' }, 'GET', 421],
    [{ host: 'localhost', origin: 'http://localhost' }, 'GET', 200],
    [{ host: 'localhost', origin: 'https://localhost' }, 'GET', 403],
    [{ host: 'localhost', origin: 'http://localhost:8080' }, 'GET', 403],
    [{ host: 'localhost', origin: 'http://evil.test' }, 'GET', 403],
    [{ host: 'localhost', origin: 'null' }, 'GET', 403],
    [{ host: 'localhost', 'sec-fetch-site': 'cross-site' }, 'POST', 403],
    [{ host: 'localhost', 'sec-fetch-site': 'same-site' }, 'POST', 403],
    [{ host: 'localhost', 'sec-fetch-site': 'same-origin' }, 'POST', 200],
    [{ host: 'localhost', 'content-type': 'text/plain' }, 'POST', 415],
    [{ host: 'localhost', 'content-type': 'application/x-www-form-urlencoded' }, 'POST', 415],
  ]
  for (const [headers, method, expected] of cases) {
    test(`R71 ${method} with ${JSON.stringify(headers)} is ${expected}`, async () => {
      const path = method === 'GET' ? '/v1/whoami' : '/v1/console-links'
      const { status } = await stage.call({
        path,
        method,
        headers,
        token: stage.plane.ownerToken,
        ...postBody(method),
      })
      assert.equal(status, expected)
    })
  }

  test('R71: a foreign Host is refused before it is asked who calls, also for health', async () => {
    for (const path of ['/ready', '/v1/status', '/console', '/nope']) {
      const { status } = await stage.call({ path, headers: { host: 'evil.test' } })
      assert.equal(status, 421, path)
    }
  })
})

describe('R72: nobody is answered', () => {
  for (const { method, path } of adminEndpoints) {
    test(`R72 ${method} ${path} without proof is ${OPEN.has(path) ? 'open' : '401'}`, async () => {
      for (const tls of [undefined, {}]) {
        const more = tls === undefined ? {} : { tls }
        const { status, headers } = await stage.call({ path, method, ...postBody(method), ...more })
        assert.equal(status, OPEN.has(path) ? 200 : 401)
        if (status === 401 && path !== '/console/login') {
          assert.equal(headers['www-authenticate'], 'Bearer realm="weft"')
        }
      }
    })
  }

  test('R72: neither are those whose proof is no good', async () => {
    const { ownerToken } = stage.plane
    const bad = ['', 'x', 'wot_x', `${ownerToken}x`, ownerToken.slice(0, -1), `wot_${ownerToken}`]
    for (const token of bad) {
      const { status } = await stage.call({ path: '/v1/whoami', headers: { authorization: token } })
      assert.equal(status, 401, token)
      assert.equal((await stage.call({ path: '/v1/whoami', token })).status, 401, token)
    }
    // A proof that is no good is not made good by another.
    assert.equal((await stage.call({ path: '/v1/whoami', token: 'x', isSocket: true })).status, 401)
  })

  test('R72: what there is and what there is not is not told to strangers', async () => {
    for (const path of ['/', '/nope', '/v1', '/v1/status/']) {
      assert.equal((await stage.call({ path })).status, 401, path)
    }
  })

  test('R72: every gRPC method of the xDS ports, without proof, is UNAUTHENTICATED', async () => {
    const methods = stage.plane.xdsMethods()
    assert.ok(methods.length >= 8, methods.join())
    const session = openSession(stage.plane.xdsTls ?? ANY, {})
    try {
      for (const path of methods) {
        // A certificate is asked for with a CSR that is in order: only the proof is missing.
        const status = path.endsWith('/CreateCertificate')
          ? (await askFor(session, {})).status
          : await statusOf(session, path)
        assert.equal(status, UNAUTHENTICATED, path)
      }
    } finally {
      session.destroy()
    }
  })
})

function statusOf(session: ClientHttp2Session, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    let found: unknown
    const take = (fields: Record<string, unknown>) => {
      found = fields['grpc-status'] ?? found
    }
    stream.on('response', take).on('trailers', take)
    stream.on('error', reject)
    stream.on('close', () => resolve(Number(found)))
    // One field 1 with a text: to who issues tokens an audience, to the others whatever it is.
    stream.resume().end(Buffer.from([0, 0, 0, 0, 3, 0x0a, 1, 0x61]))
  })
}

describe('client certificates', () => {
  test('a workload of the mesh is its SPIFFE id, and may do nothing without a binding', async () => {
    const key = newKey()
    const made = (await stage.asOwner('POST', '/v1/join-tokens', {
      namespace: 'shop',
      serviceAccount: 'cart',
    })) as { token: string }
    const session = openSession(stage.plane.xds)
    const { chain } = await askFor(session, {
      token: made.token.split('@')[0] ?? '',
      csrPem: csrOf(key),
    })
    session.destroy()
    const tls = {
      cert: chain.slice(0, -1).join(''),
      key: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    }
    const who = await stage.call({ path: '/v1/whoami', tls })
    assert.deepEqual(JSON.parse(who.body), {
      user: 'spiffe://cluster.local/ns/shop/sa/cart',
      groups: ['system:authenticated', 'system:serviceaccounts', 'system:serviceaccounts:shop'],
      proof: 'certificate',
      grants: [],
    })
    assert.equal((await stage.call({ path: '/v1/status', tls })).status, 403)
  })

  test('one of an operators’ CA is its common name; of any other CA it is nobody', async () => {
    const [ours, theirs] = [createTestCa(), createTestCa()]
    const file = join(stage.folder, 'operators-ca.pem')
    const bindings = join(stage.folder, 'operators.yaml')
    writeFileSync(file, ours.caPem)
    writeFileSync(bindings, 'bindings: [{role: viewer, users: [alice], namespaces: [shop]}]')
    await using own = await openAdminStage(
      {},
      { operators: { clientCaFile: file, bindingsFile: bindings } },
    )
    const whoIs = async (ca: typeof ours, commonName: string) => {
      const { certPem, keyPem } = ca.issue({ commonName })
      const answered = await own.call({ path: '/v1/whoami', tls: { cert: certPem, key: keyPem } })
      return answered.status === 200 ? JSON.parse(answered.body) : answered.status
    }
    const alice = await whoIs(ours, 'alice')
    assert.equal(alice.user, 'alice')
    assert.deepEqual(alice.grants, [{ role: 'viewer', namespaces: ['shop'] }])
    assert.equal(await whoIs(theirs, 'alice'), 401)
    assert.equal(await whoIs(ours, 'system:owner'), 401)
    assert.equal(await whoIs(ours, 'spiffe://cluster.local/ns/shop/sa/cart'), 401)
    // Who may do what is read again when it changes; a broken form changes nothing.
    writeFileSync(bindings, 'bindings: [{role: admin, users: [alice]}]')
    assert.deepEqual((await whoIs(ours, 'alice')).grants, [{ role: 'admin', namespaces: 'all' }])
    writeFileSync(bindings, 'bindings: [{role: root, users: [alice]}]')
    assert.deepEqual((await whoIs(ours, 'alice')).grants, [{ role: 'admin', namespaces: 'all' }])
  })

  test('the token of the owner is for this machine', async () => {
    const { status } = await stage.call({
      path: '/v1/whoami',
      token: stage.plane.ownerToken,
      tls: {},
    })
    // Over TLS from loopback it is this machine still.
    assert.equal(status, 200)
  })
})

describe('R77: the console', () => {
  const ORIGIN = { origin: 'http://localhost' }

  async function signIn(tls?: object): Promise<{ cookie: string; header: string }> {
    const { path } = (await stage.asOwner('POST', '/v1/console-links', {})) as { path: string }
    const more = tls === undefined ? {} : { tls }
    const { status, headers } = await stage.call({ path, ...more })
    assert.equal(status, 303)
    assert.equal(headers.location, '/console')
    const header = headers['set-cookie']?.[0] ?? ''
    return { cookie: header.split(';')[0] ?? '', header }
  }

  test('R77: the cookie is for this site, over TLS only where there is TLS, and for no script', async () => {
    const plain = await signIn()
    assert.match(
      plain.header,
      /^weft-session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/,
    )
    const secure = await signIn({})
    assert.match(
      secure.header,
      /^__Host-weft-session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Secure; Max-Age=43200$/,
    )
  })

  test('R77: a link is good once, and looking ahead does not use it up', async () => {
    const { path } = (await stage.asOwner('POST', '/v1/console-links', {})) as { path: string }
    assert.equal((await stage.call({ path, method: 'HEAD' })).status, 401)
    const ahead = { 'sec-purpose': 'prefetch;prerender' }
    assert.equal((await stage.call({ path, headers: ahead })).status, 401)
    assert.equal((await stage.call({ path })).status, 303)
    assert.equal((await stage.call({ path })).status, 401)
  })

  test('R77: pages have nothing inline, and a policy that allows none', async () => {
    const { cookie } = await signIn()
    const page = await stage.call({ path: '/console', headers: { cookie } })
    assert.equal(page.status, 200)
    const policy = String(page.headers['content-security-policy'])
    assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/)
    assert.match(policy, /frame-ancestors 'none'/)
    assert.doesNotMatch(policy, /unsafe|\*|data:/)
    assert.doesNotMatch(page.body, /<script(?![^>]*\bsrc=)|\son\w+\s*=|style\s*=|javascript:/i)
    assert.match(page.body, /<html lang="en">/)
    assert.match(page.body, /id="error" role="alert"/)
    for (const [path, type] of [
      ['/console/app.js', 'text/javascript; charset=utf-8'],
      ['/console/style.css', 'text/css; charset=utf-8'],
    ] as const) {
      const { status, headers, body } = await stage.call({ path, headers: { cookie } })
      assert.equal(status, 200)
      assert.equal(headers['content-type'], type)
      assert.doesNotMatch(body, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b/)
    }
  })

  test('R77: who is signed out is told so in words and as an alert', async () => {
    for (const path of ['/', '/console']) {
      const { status, body } = await stage.call({
        path,
        headers: { accept: 'text/html', cookie: 'weft-session=x' },
      })
      assert.equal(status, 401)
      assert.match(body, /role="alert">To sign in, run <code>weft dashboard<\/code>/)
    }
  })

  test('the address by itself leads a signed-in browser to the console, and a program to the list', async () => {
    const { cookie } = await signIn()
    const browser = await stage.call({ path: '/', headers: { cookie, accept: 'text/html,*/*' } })
    assert.equal(browser.status, 303)
    assert.equal(browser.headers.location, '/console')
    const program = await stage.call({ path: '/', headers: { cookie, accept: '*/*' } })
    assert.match(program.body, /^GET +\//)
  })

  test('R77: every answer says that it is no page of others and is not kept', async () => {
    for (const { path, method } of adminEndpoints) {
      const token = stage.plane.ownerToken
      const { headers } = await stage.call({
        path,
        method: method === 'POST' ? 'PUT' : method,
        token,
      })
      assert.equal(headers['x-content-type-options'], 'nosniff', path)
      assert.equal(headers['cache-control'], 'no-store', path)
      assert.equal(headers['x-frame-options'], 'DENY', path)
      assert.equal(headers['referrer-policy'], 'no-referrer', path)
      assert.match(String(headers['content-security-policy']), /frame-ancestors 'none'/, path)
    }
  })

  test('R71: a change by cookie must come from a page of ours', async () => {
    const { cookie } = await signIn()
    const post = (headers: object) =>
      stage.call({
        path: '/v1/console-links',
        method: 'POST',
        body: '{}',
        headers: { cookie, ...headers },
      })
    assert.equal((await post(ORIGIN)).status, 200)
    assert.equal((await post({})).status, 403)
    assert.equal((await post({ origin: 'http://localhost:1' })).status, 403)
    assert.equal((await post({ ...ORIGIN, 'sec-fetch-site': 'same-site' })).status, 403)
  })

  test('signing out ends the session, on the server too', async () => {
    const { cookie } = await signIn()
    const headers = { cookie, ...ORIGIN }
    const out = await stage.call({ path: '/console/logout', method: 'POST', body: '{}', headers })
    assert.match(String(out.headers['set-cookie']), /Max-Age=0/)
    assert.equal((await stage.call({ path: '/console', headers: { cookie } })).status, 401)
  })

  test('a session may do what the token may that began it, and ends with it', async () => {
    const made = (await stage.asOwner('POST', '/v1/operator-tokens', {
      user: 'eve',
      role: 'viewer',
      namespaces: ['shop'],
    })) as { token: string; id: string }
    const link = await stage.call({
      path: '/v1/console-links',
      method: 'POST',
      body: '{}',
      token: made.token,
    })
    const signed = await stage.call({ path: JSON.parse(link.body).path })
    const cookie = signed.headers['set-cookie']?.[0]?.split(';')[0] ?? ''
    const headers = { cookie }
    assert.equal((await stage.call({ path: '/v1/status', headers })).status, 200)
    assert.equal((await stage.call({ path: '/v1/operator-tokens', headers })).status, 403)
    await stage.asOwner('POST', '/v1/operator-tokens/revoke', { id: made.id })
    assert.equal((await stage.call({ path: '/v1/status', headers })).status, 401)
    assert.equal((await stage.call({ path: '/v1/status', token: made.token })).status, 401)
  })
})

describe('the audit log', () => {
  test('has who, what, from where, and what came of it; no secret', async () => {
    const made = (await stage.asOwner('POST', '/v1/operator-tokens', {
      user: 'mallory',
      role: 'operator',
      namespaces: ['shop'],
    })) as { token: string }
    const call = { method: 'POST', body: '{}', token: made.token }
    assert.equal((await stage.call({ path: '/v1/ca/rotate', ...call })).status, 403)
    const { entries } = (await stage.asOwner('GET', '/v1/audit?limit=2')) as {
      entries: readonly Readonly<Record<string, unknown>>[]
    }
    const [refused, created] = entries
    assert.equal(refused?.user, 'mallory')
    assert.equal(refused?.action, 'ca.rotate')
    assert.equal(refused?.status, 403)
    assert.match(String(refused?.reason), /needs the role admin in all namespaces/)
    assert.match(String(refused?.from), /^127\.0\.0\.1:\d+$/)
    assert.equal(created?.user, 'system:owner')
    assert.match(String(created?.subjects), /^operator token [0-9a-f]{12} of mallory$/)
    const file = join(stage.folder, 'state', 'operators', 'audit.jsonl')
    assert.equal(statSync(file).mode & 0o777, 0o600)
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
    assert.deepEqual(JSON.parse(lines.at(-1) ?? ''), refused)
    assert.equal(lines.join().includes(made.token), false)
  })
})

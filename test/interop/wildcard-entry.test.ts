/**
 * A ServiceEntry of a whole domain without endpoints (`resolution: NONE`): the application says
 * which of its hosts it wants, and gets there, over HTTP and through TLS that is its own.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { createTestCa, eventually, freePort } from '@weft/testkit'
import { startWeft } from '../e2e/weft.ts'
import { startApp } from './echo.ts'
import { type Mesh, startMesh } from './mesh.ts'

const HOSTS = ['a.wild.test', 'b.c.wild.test', 'wild.test', 'other.test']

/** A Node whose process has names of its own; they are looked up as all others. */
function nodeWithNames({ folder }: Mesh): string {
  const [hosts, node] = [join(folder, 'hosts'), join(folder, 'node')]
  writeFileSync(hosts, `127.0.0.1 localhost ${HOSTS.join(' ')}\n`)
  const script = [
    '#!/bin/sh',
    'if [ -z "$WEFT_OWN_NAMES" ]; then WEFT_OWN_NAMES=1 exec unshare -m "$0" "$@"; fi',
    `mount --bind '${hosts}' /etc/hosts || exit 1`,
    `exec '${process.execPath}' "$@"`,
  ]
  writeFileSync(node, `${script.join('\n')}\n`)
  chmodSync(node, 0o755)
  return node
}

const entry = (http: number, tls: number) => `apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wild}
spec:
  hosts: ["*.wild.test"]
  location: MESH_EXTERNAL
  resolution: NONE
  ports: [{number: ${http}, name: http, protocol: HTTP}, {number: ${tls}, name: tls, protocol: TLS}]
`

/** Everything that comes back for one request. */
function say(proxy: number, head: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(proxy, '127.0.0.1')
    let heard = ''
    socket.setEncoding('latin1').on('data', (text: string) => {
      heard += text
    })
    socket.on('error', () => undefined).once('close', () => resolve(heard))
    socket.write(`${head}Connection: close\r\n\r\n`)
  })
}

/** What is heard inside of TLS, through a tunnel; empty: there was none. */
function sayInside(proxy: number, host: string, port: number, ca: string): Promise<string> {
  return new Promise((resolve) => {
    const raw = connect(proxy, '127.0.0.1')
    let heard = ''
    raw.on('error', () => resolve(heard)).once('close', () => resolve(heard))
    raw.once('data', (answer) => {
      if (!answer.toString('latin1').startsWith('HTTP/1.1 200')) {
        raw.destroy()
        return
      }
      const inside = connectTls({ socket: raw, servername: host, ca })
      inside.setEncoding('latin1').on('data', (text: string) => {
        heard += text
      })
      inside.on('error', () => resolve(heard)).once('close', () => resolve(heard))
      inside.write(`GET /in HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    })
    raw.write(`CONNECT ${host}:${port} HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`)
  })
}

test('every host of a wildcard entry is reached where its name leads, and no other', async (t) => {
  if (spawnSync('unshare', ['-m', 'true']).status !== 0) {
    return t.skip('no right to names of its own here')
  }
  const ca = createTestCa('wild')
  const { certPem: cert, keyPem: key } = ca.issue({ dns: ['a.wild.test', 'b.c.wild.test'] })
  await using plain = await startApp('plain')
  await using secure = await startApp('secure', 'https', { cert, key })
  await using mesh = await startMesh()
  mesh.write('mesh.yaml', entry(plain.port, secure.port))
  const port = await freePort()
  await using _sidecar = startWeft(
    [
      ...['proxy', '--control', `127.0.0.1:${mesh.controlPort}`, '--admin', '127.0.0.1:0'],
      ...['--state', join(mesh.folder, 'sidecar'), '--name', 'caller'],
      ...['--outbound', `127.0.0.1:${port}`],
    ],
    { node: nodeWithNames(mesh) },
  )
  const get = (host: string, to = plain.port) =>
    say(port, `GET http://${host}:${to}/x HTTP/1.1\r\nHost: ${host}:${to}\r\n`)
  await eventually(async () => assert.match(await get('a.wild.test'), /^HTTP\/1\.1 200 /))

  for (const host of ['a.wild.test', 'b.c.wild.test']) {
    const heard = await get(host)
    assert.match(heard, /"backend": ?"plain"/, host)
    assert.ok(heard.includes(host), 'the host goes on as it was asked for')
    assert.match(await sayInside(port, host, secure.port, ca.caPem), /"backend": ?"secure"/, host)
  }
  const [seenPlain, seenSecure] = [plain.seen.length, secure.seen.length]
  for (const host of ['wild.test', 'other.test', 'none.wild.test.other.test']) {
    assert.match(await get(host), /^HTTP\/1\.1 502 /, host)
    assert.equal(await sayInside(port, host, secure.port, ca.caPem), '', host)
  }
  // Declared with another port; and a name that leads nowhere.
  assert.match(await get('a.wild.test', await freePort()), /^HTTP\/1\.1 50[23] /)
  assert.match(await get('nobody.wild.test'), /^HTTP\/1\.1 503 /)
  assert.deepEqual([plain.seen.length, secure.seen.length], [seenPlain, seenSecure])
})

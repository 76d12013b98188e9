/**
 * R73: role × namespace × endpoint, all of them, asked over a socket. What is expected comes from the
 * rules in docs/security.md, written down here once more and by other means than in the code.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import { type AdsClient, createAdsClient } from '@weft/xds'
import { ROLES, type Role } from './access/roles.ts'
import { adminEndpoints } from './catalog.ts'
import { type AdminStage, openAdminStage } from './test-admin.ts'

const NAMESPACES = ['shop', 'bank'] as const
type Namespace = (typeof NAMESPACES)[number]
/** Stands in every object of a namespace and nowhere else. */
const CANARIES: Readonly<Record<Namespace | 'istio-system', string>> = {
  shop: 'canary-of-shop',
  bank: 'canary-of-bank',
  'istio-system': 'canary-of-root',
}

const objectsOf = (namespace: Namespace, canary: string) => `
kind: Service
apiVersion: v1
metadata: {name: ${canary}, namespace: ${namespace}}
spec: {selector: {app: a}, ports: [{name: http, port: 80}]}
---
kind: VirtualService
apiVersion: networking.istio.io/v1
metadata: {name: ${canary}-route, namespace: ${namespace}}
spec: {hosts: [${canary}.${namespace}.svc.cluster.local], http: [{route: [{destination: {host: ${canary}.${namespace}.svc.cluster.local}}]}]}
`
const ROOT = `
kind: AuthorizationPolicy
apiVersion: security.istio.io/v1
metadata: {name: canary-of-root, namespace: istio-system}
spec: {action: DENY, rules: []}
---
kind: GatewayClass
apiVersion: gateway.networking.k8s.io/v1
metadata: {name: class-of-all}
spec: {controllerName: weft.dev/gateway}
`

interface Grant {
  readonly role: Role
  readonly namespaces: 'all' | readonly Namespace[]
}

const GRANTS: readonly Grant[] = ROLES.flatMap((role) => [
  { role, namespaces: ['shop'] as const },
  { role, namespaces: ['bank'] as const },
  { role, namespaces: ['shop', 'bank'] as const },
  { role, namespaces: 'all' as const },
])
const rank = (role: Role) => ROLES.indexOf(role)

let stage: AdminStage
const clients: AdsClient[] = []
const tokens = new Map<Grant, string>()

before(async () => {
  stage = await openAdminStage({
    'shop.yaml': objectsOf('shop', CANARIES.shop),
    'bank.yaml': objectsOf('bank', CANARIES.bank),
    'root.yaml': ROOT,
  })
  for (const namespace of NAMESPACES) {
    const { promise, resolve } = Promise.withResolvers<void>()
    const node = {
      id: `sidecar~127.0.0.1~${CANARIES[namespace]}.${namespace}~${namespace}.svc.cluster.local`,
      cluster: `a.${namespace}`,
      locality: { region: '', zone: '', subZone: '' },
      metadata: {
        WEFT_KIND: 'weft',
        NAMESPACE: namespace,
        WORKLOAD_NAME: CANARIES[namespace],
        LABELS: { app: 'a' },
      },
      userAgentName: 'weft',
      features: [],
    }
    clients.push(
      await createAdsClient(
        { node, connect: stage.plane.xds },
        { clock: realClock, log: silentLogger, random: () => 0, onUpdate: () => resolve() },
      ),
    )
    await promise
  }
  for (const grant of GRANTS) {
    const { token } = (await stage.asOwner('POST', '/v1/operator-tokens', {
      user: `${grant.role}-${grant.namespaces}`,
      role: grant.role,
      ...(grant.namespaces === 'all' ? {} : { namespaces: grant.namespaces }),
    })) as { token: string }
    tokens.set(grant, token)
  }
})

after(async () => {
  await Promise.all(clients.map((client) => client.close()))
  await stage[Symbol.asyncDispose]()
})

const nameOf = ({ role, namespaces }: Grant) => `${role} in ${namespaces}`
const call = (grant: Grant, path: string, body?: string, type = 'application/json') =>
  stage.call({
    path,
    token: tokens.get(grant) ?? '',
    ...(body === undefined ? {} : { method: 'POST', body, headers: { 'content-type': type } }),
  })
const isIn = ({ namespaces }: Grant, namespace: string) =>
  namespaces === 'all' || (namespaces as readonly string[]).includes(namespace)

async function checkSeen(grant: Grant, path: string): Promise<void> {
  const { status, body } = await call(grant, path)
  const [, asked] = /proxy=(\w+)/.exec(path) ?? []
  const isTheirs = asked === undefined || isIn(grant, asked)
  assert.equal(status, isTheirs ? 200 : 404)
  // A proxy's configuration names the services that it may call, of whatever namespace.
  if (asked !== undefined && isTheirs) return
  // What was asked for is said back; nothing else of it is.
  const told = isTheirs ? body : body.replace(path.split('proxy=')[1] ?? '', '')
  const foreign = Object.entries(CANARIES).filter(([namespace]) => !isIn(grant, namespace))
  for (const [, canary] of foreign) assert.ok(!told.includes(canary), `${canary} in ${path}`)
}

describe('R73: what a viewer of some namespaces is shown', () => {
  const READS = [
    '/v1/status',
    '/v1/proxies',
    '/v1/objects',
    '/v1/services',
    '/debug/syncz',
    '/debug/registryz',
    '/debug/configz',
    '/v1/resources?proxy=shop/canary-of-shop',
    '/v1/resources?proxy=bank/canary-of-bank',
    '/metrics',
    '/v1/ca/bundle',
    '/v1/spiffe-bundle',
  ]
  for (const grant of GRANTS) {
    for (const path of READS) {
      test(`R73 ${nameOf(grant)}: ${path}`, () => checkSeen(grant, path))
    }
  }

  test('R73: what is asked for is there for those who may see it', async () => {
    const [all] = GRANTS.filter(({ namespaces }) => namespaces === 'all')
    if (all === undefined) throw new Error('Cannot test: nobody sees everything')
    for (const path of READS.filter((one) => !/metrics|bundle/.test(one))) {
      const { body } = await call(all, path)
      assert.match(body, /canary-of-(shop|bank)/, path)
    }
    const { body } = await call(all, '/v1/objects')
    assert.match(body, /canary-of-root/)
    assert.match(body, /class-of-all/)
  })

  test('R73: what is in no namespace is shown to nobody of one', async () => {
    for (const grant of GRANTS.filter(({ namespaces }) => namespaces !== 'all')) {
      assert.doesNotMatch((await call(grant, '/v1/objects')).body, /class-of-all/)
    }
  })
})

describe('R73: mesh-wide endpoints take a role in all namespaces', () => {
  const MESH: readonly (readonly [string, Role, string?])[] = [
    ['/v1/ca', 'viewer'],
    ['/v1/federation', 'viewer'],
    ['/v1/operator-tokens', 'admin'],
    ['/v1/audit', 'admin'],
    ['/v1/ca/rotate', 'admin', '{"abandon":true}'],
    ['/v1/ca/import', 'admin', '{}'],
    ['/v1/operator-tokens', 'admin', '{}'],
    ['/v1/operator-tokens/revoke', 'admin', '{}'],
  ]
  for (const grant of GRANTS) {
    for (const [path, role, body] of MESH) {
      test(`R73 ${nameOf(grant)}: ${body === undefined ? 'GET' : 'POST'} ${path}`, async () => {
        const may = grant.namespaces === 'all' && rank(grant.role) >= rank(role)
        const { status } = await call(grant, path, body)
        // 400 and 409: it was let in, and what it asks for makes no sense.
        assert.equal(status === 403, !may, String(status))
      })
    }
  }
})

describe('R73: changes of objects', () => {
  const route = (namespace: string, name: string) => `
kind: DestinationRule
apiVersion: networking.istio.io/v1
metadata: {name: ${name}, namespace: ${namespace}}
spec: {host: ${name}}
`
  for (const grant of GRANTS) {
    for (const namespace of [...NAMESPACES, 'istio-system']) {
      test(`R73 ${nameOf(grant)}: apply and delete in ${namespace}`, async () => {
        const may = isIn(grant, namespace) && rank(grant.role) >= rank('operator')
        const name = `rule-of-${namespace}`
        const applied = await call(grant, '/v1/apply', route(namespace, name), 'application/yaml')
        assert.equal(applied.status, may ? 200 : 403, applied.body)
        const object = { kind: 'DestinationRule', namespace, name }
        const deleted = await call(grant, '/v1/delete', JSON.stringify({ objects: [object] }))
        assert.equal(deleted.status, may ? 200 : 403, deleted.body)
      })
    }

    test(`R73 ${nameOf(grant)}: one object of another namespace spoils the text`, async () => {
      const text = NAMESPACES.map((namespace) => route(namespace, 'both')).join('---\n')
      const may = NAMESPACES.every((one) => isIn(grant, one)) && rank(grant.role) >= 1
      const { status } = await call(grant, '/v1/apply', text, 'application/yaml')
      assert.equal(status, may ? 200 : 403)
    })

    test(`R73 ${nameOf(grant)}: what is in no namespace cannot be had by naming one`, async () => {
      const object = { kind: 'GatewayClass', namespace: 'shop', name: 'class-of-all' }
      const may = grant.namespaces === 'all' && rank(grant.role) >= rank('operator')
      const { status } = await call(grant, '/v1/delete', JSON.stringify({ objects: [object] }))
      assert.equal(status, may ? 200 : 403)
      // For the next one to try.
      if (status === 200) {
        await stage.call({
          path: '/v1/apply',
          method: 'POST',
          token: stage.plane.ownerToken,
          headers: { 'content-type': 'application/yaml' },
          body: ROOT.split('---')[1] ?? '',
        })
      }
    })
  }
})

describe('R73: join tokens', () => {
  for (const grant of GRANTS) {
    for (const namespace of NAMESPACES) {
      test(`R73 ${nameOf(grant)}: make, see and revoke one of ${namespace}`, async () => {
        const may = isIn(grant, namespace) && rank(grant.role) >= rank('admin')
        const wanted = JSON.stringify({ namespace, serviceAccount: 'a' })
        const made = await call(grant, '/v1/join-tokens', wanted)
        assert.equal(made.status, may ? 200 : 403)
        const { id } = (await stage.asOwner('POST', '/v1/join-tokens', {
          namespace,
          serviceAccount: CANARIES[namespace],
        })) as { id: string }
        const listed = await call(grant, '/v1/join-tokens')
        assert.equal(listed.status, rank(grant.role) >= rank('admin') ? 200 : 403)
        assert.equal(listed.body.includes(CANARIES[namespace]), may)
        const revoked = await call(grant, '/v1/join-tokens/revoke', JSON.stringify({ id }))
        assert.equal(revoked.status, may ? 200 : rank(grant.role) >= rank('admin') ? 404 : 403)
      })
    }
  }
})

function isExpected(
  grant: Grant,
  access: { readonly role: Role; readonly where: string },
  namespace: Namespace | undefined,
): boolean {
  const isMesh = access.where === 'mesh' || namespace === undefined
  const reaches = isMesh ? grant.namespaces === 'all' : isIn(grant, namespace)
  return reaches && rank(grant.role) >= rank(access.role)
}

describe('R73: whoami and can', () => {
  for (const grant of GRANTS) {
    test(`R73 ${nameOf(grant)}: is told what it may, as it is then decided`, async () => {
      const who = JSON.parse((await call(grant, '/v1/whoami')).body)
      assert.deepEqual(who.grants, [grant])
      for (const { access } of adminEndpoints) {
        if (typeof access === 'string') continue
        for (const namespace of [...NAMESPACES, undefined]) {
          const where = namespace === undefined ? '' : `&namespace=${namespace}`
          const { body } = await call(grant, `/v1/can?action=${access.action}${where}`)
          const may = isExpected(grant, access, namespace)
          assert.equal(JSON.parse(body).allowed, may, `${access.action} in ${namespace}`)
        }
      }
    })
  }

  test('an action that there is not is named with those that there are', async () => {
    const { status, body } = await call(GRANTS[0] as Grant, '/v1/can?action=fly')
    assert.equal(status, 400)
    assert.match(body, /action must be one of .*objects\.apply/)
  })
})

test('R73: the matrix has every endpoint', () => {
  const covered = new Set(
    [
      ...['/v1/status', '/v1/proxies', '/v1/objects', '/v1/services', '/v1/resources'],
      ...['/debug/syncz', '/debug/registryz', '/debug/configz', '/metrics', '/v1/ca/bundle'],
      ...['/v1/ca', '/v1/ca/rotate', '/v1/ca/import', '/v1/operator-tokens'],
      ...['/v1/operator-tokens/revoke', '/v1/audit', '/v1/apply', '/v1/delete'],
      ...['/v1/join-tokens', '/v1/join-tokens/revoke', '/v1/spiffe-bundle', '/v1/federation'],
    ].map(String),
  )
  const missing = adminEndpoints.filter(
    ({ access, path }) => typeof access !== 'string' && !covered.has(path),
  )
  assert.deepEqual(
    missing.map(({ path }) => path),
    [],
  )
})

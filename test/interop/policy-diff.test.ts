/**
 * What `weft policy diff` says of random changes of policies, held against enumeration: every call
 * of a universe falls into one of the classes that were tried, and its fate is that of its class.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '@weft/testkit'
import { meshView } from '../../packages/cli/src/access/mesh-view.ts'
import type { Dimension } from '../../packages/cli/src/policy-diff/dimensions.ts'
import { judgedPort, policyDiff } from '../../packages/cli/src/policy-diff/policy-diff.ts'
import { parseDocuments } from '../../packages/config/src/index.ts'
import { type Call, isAllowed, type Policy } from './authorization-model.ts'
import { HEADERS, IDENTITIES, PATHS, randomAuthorization } from './random-authorization.ts'

const SEED = Number(process.env.WEFT_SEED ?? 1)
const ROUNDS = Number(process.env.WEFT_RUNS ?? 25)
const { policies } = randomAuthorization(seededRandom(SEED))

const MESH = [
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'cart', namespace: 'default' },
    spec: { selector: { app: 'cart' }, ports: [{ name: 'http', port: 80 }] },
  },
]

function viewOf(written: readonly Policy[]) {
  const objects = written.map((spec, i) => ({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: `p${i}`, namespace: 'default' },
    spec,
  }))
  const text = [...MESH, ...objects].map((one) => JSON.stringify(one)).join('\n---\n')
  const { documents, problems } = parseDocuments(text, { file: 'mesh.yaml' })
  assert.deepEqual(
    problems.filter(({ severity }) => severity === 'error'),
    [],
  )
  return meshView({ documents })
}

/** Everybody of the mesh × every call that the policies of the tests are about. */
function universe(): readonly Call[] {
  const people = IDENTITIES.filter((one) => one?.domain !== 'other.example')
  const callers = people.map((identity) => (identity === undefined ? {} : { identity }))
  const ips = ['127.0.0.1', '203.0.113.7', '203.0.113.9']
  const hosts = ['cart.example', 'other']
  return callers
    .flatMap((one) => ['GET', 'POST', 'DELETE'].map((method) => ({ ...one, method })))
    .flatMap((one) => hosts.map((host) => ({ ...one, host })))
    .flatMap((one) => PATHS.map((path) => ({ ...one, path })))
    .flatMap((one) => HEADERS.map((headers) => ({ ...one, headers, sourceIp: '127.0.0.1' })))
    .flatMap((one) => ips.map((remoteIp) => ({ ...one, remoteIp })))
}

const UNIVERSE = universe()

function classOf({ name, indexOf }: Dimension, call: Call): number {
  const { identity, method, host, path, headers, sourceIp, remoteIp } = call
  switch (name) {
    case 'from':
      return indexOf(
        identity && `spiffe://${identity.domain}/ns/${identity.namespace}/sa/${identity.account}`,
      )
    case 'source ip':
      return indexOf(sourceIp)
    case 'client ip':
      return indexOf(remoteIp === sourceIp ? undefined : remoteIp)
    case 'method':
      return indexOf(method)
    case 'host':
      return indexOf(host)
    case 'path':
      return indexOf(path.split('?')[0])
    case 'header x-tier':
      return indexOf(headers['x-tier'])
    default:
      throw new Error(`nobody said what ${name} is of a call`)
  }
}

test(`a diff of policies is what enumeration finds: ${ROUNDS} changes (seed ${SEED})`, () => {
  let changed = 0
  let same = 0
  for (let round = 0; round < ROUNDS; round++) {
    const old = policies()
    const next = policies()
    const [was] = viewOf(old).destinations('default/cart')
    const [now] = viewOf(next).destinations('default/cart')
    assert.ok(was !== undefined && now !== undefined)
    const port = { number: 80, isNamed: true, protocol: 'http' } as const
    const judged = judgedPort(was, now, port, ['cluster.local'])
    assert.deepEqual(judged.gaps, [], 'all was tried')
    for (const call of UNIVERSE) {
      const before = isAllowed(old, call)
      const after = isAllowed(next, call)
      const classes = judged.dimensions.map((dimension) => classOf(dimension, call))
      const told = `round ${round}: ${JSON.stringify(call)}\n${JSON.stringify([old, next], null, 1)}`
      assert.ok(!classes.includes(-1), `a class is missing, ${told}`)
      const expected = before === after ? undefined : after ? 'allowed' : 'denied'
      const boxes = judged.boxes.filter(({ sides }) =>
        sides.every((side, i) => side.includes(classes[i] ?? -1)),
      )
      assert.ok(boxes.length < 2, `boxes overlap, ${told}`)
      assert.equal(boxes[0]?.verdict, expected, told)
      if (expected === undefined) same++
      else changed++
    }
  }
  assert.ok(changed > ROUNDS * 20 && same > ROUNDS * 20, `${changed} changed, ${same} did not`)
})

test('a change that says the same in other words changes no call', () => {
  const rule = (paths: readonly string[]): Policy => ({
    action: 'ALLOW',
    rules: [{ to: [{ operation: { paths: [...paths] } }] }],
  })
  const one = viewOf([rule(['/a', '/a*'])])
  assert.deepEqual(policyDiff(one, viewOf([rule(['/a*'])])), { changes: [], gaps: [] })
  const { changes } = policyDiff(one, viewOf([rule(['/a/*'])]))
  assert.ok(changes.length > 0)
  assert.ok(changes.every(({ verdict }) => verdict === 'denied'))
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { grantsFor, parseBindings } from './bindings.ts'
import { type Identity, mayEverywhere, mayIn, NOBODY, ROLES } from './roles.ts'

const identity = (user: string, ...groups: string[]): Identity => ({
  user,
  groups,
  proof: 'token',
})

test('users and groups get roles in namespaces, or everywhere', () => {
  const bindings = parseBindings(
    `bindings:
  - role: admin
    users: [alice]
  - role: operator
    groups: [shop-team]
    namespaces: [shop, shop-staging]
  - role: viewer
    groups: ["system:authenticated"]
    namespaces: ["*"]
`,
    'operators.yaml',
  )
  assert.deepEqual(grantsFor(bindings, identity('alice')), [{ role: 'admin', namespaces: 'all' }])
  assert.deepEqual(grantsFor(bindings, identity('bob', 'shop-team', 'system:authenticated')), [
    { role: 'operator', namespaces: ['shop', 'shop-staging'] },
    { role: 'viewer', namespaces: 'all' },
  ])
  assert.deepEqual(grantsFor(bindings, identity('shop-team')), [])
})

test('what cannot be read says where and why', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /o\.yaml: must be a map/],
    ['[]', /o\.yaml: must be a map/],
    ['bindings: {}', /o\.yaml:1: bindings must be a list/],
    ['binding: []', /o\.yaml:1: unknown field binding; there are: bindings/],
    ['bindings:\n- role: root\n  users: [a]', /o\.yaml:2: role must be one of viewer, operator, a/],
    ['bindings:\n- {role: admin}', /o\.yaml:2: a binding needs users or groups/],
    ['bindings:\n- {role: admin, users: []}', /o\.yaml:2: a binding needs users or groups/],
    ['bindings:\n- {role: admin, users: alice}', /o\.yaml:2: users must be a list/],
    ['bindings:\n- {role: admin, users: [1]}', /o\.yaml:2: users must be a list of names/],
    [
      'bindings:\n- {role: admin, users: [a], namespaces: []}',
      /must name one; leave the field out/,
    ],
    ['bindings:\n- {role: admin, users: [a], namespaces: [shop-*]}', /'shop-\*' is no namespace/],
    ['bindings:\n- {role: admin, users: [a], namespace: shop}', /unknown field namespace; there/],
    ['bindings:\n- &a {role: admin, users: [a]}\n- *a', /o\.yaml:3: aliases are not read here/],
    ['bindings: [', /o\.yaml:1: /],
    ['bindings:\n- {role: admin, role: viewer, users: [a]}', /o\.yaml:2: .*unique/],
  ]
  for (const [text, problem] of cases) {
    assert.throws(() => parseBindings(text, 'o.yaml'), problem, text)
  }
})

test('no text gives a role that it does not name (random texts)', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), (text) => {
      let bindings: ReturnType<typeof parseBindings> = []
      try {
        bindings = parseBindings(text, 'o.yaml')
      } catch (error) {
        assert.ok(error instanceof Error)
      }
      for (const { role } of bindings) assert.ok(text.includes(role))
    }),
  )
})

test('a role in some namespaces is never one in all, nor of what is in none', () => {
  const namespace = fc.constantFrom('a', 'b', 'c')
  const grant = fc.record({
    role: fc.constantFrom(...ROLES),
    namespaces: fc.oneof(
      fc.constant('all' as const),
      fc.uniqueArray(namespace, { minLength: 1, maxLength: 3 }),
    ),
  })
  fc.assert(
    fc.property(
      fc.array(grant, { maxLength: 4 }),
      fc.constantFrom(...ROLES),
      fc.constantFrom('a', 'b', 'c', 'd', ''),
      (grants, role, where) => {
        const operator = { ...NOBODY, grants }
        const fits = grants.filter((one) => ROLES.indexOf(one.role) >= ROLES.indexOf(role))
        const everywhere = fits.some((one) => one.namespaces === 'all')
        assert.equal(mayEverywhere(operator, role), everywhere)
        const named = fits.some(
          (one) => one.namespaces !== 'all' && one.namespaces.includes(where as 'a'),
        )
        assert.equal(mayIn(operator, role, where), everywhere || (where !== '' && named))
      },
    ),
  )
})
